// SPDX-License-Identifier: Apache-2.0
/*
 * The activations of a Conv, written once for numbers and for registers of them, so that every kernel set
 * gives the same bits. Before it includes this, a file includes one of lanes_*.h, which give
 *
 *   WIDTH                   floats in a register, which may be 1
 *   floats, words           registers of WIDTH binary32 and WIDTH uint32_t
 *   bits_of, floats_of      one as the other
 *   least(a, b), most(a, b) a < b ? a : b and a > b ? a : b, which is b where one is NaN or both are 0
 *   multiply_add(a, b, c)   a * b + c with one rounding
 *
 * All else is plain arithmetic, and nothing depends on the mathematical library of the system.
 */
#ifndef INT4Q_KERNELS_CONV_ACTIVATION_IMPL_H
#define INT4Q_KERNELS_CONV_ACTIVATION_IMPL_H

#include "kernels/conv_activation.h"

/* Numbers whose exponential is normal, and so is its inverse. */
#define ORDINARY 87.0f

static inline floats all(float x)
{
    return (floats){0} + x;
}

/* exp(-y) for |y| <= ORDINARY, within 1.5e-6 of it, relative; NaN stays NaN. It is 2^n * 2^f with the integer
 * n next to -y / log 2: adding 1.5 * 2^23 rounds to it, and adding the bias of exponents as well leaves 2^n's
 * exponent in the low bits. The polynomial is the minimax one for 2^f, |f| <= 1/2, of degree 5, but for its
 * constant. */
static inline floats exp_minus(floats y)
{
    const floats per_unit = all(-0x1.715476p0f), rounder = all(0x1.8p23f + 127);
    floats shifted = multiply_add(y, per_unit, rounder);
    floats f = multiply_add(y, per_unit, rounder - shifted);
    floats power = multiply_add(f, all(0x1.5c08e6p-10f), all(0x1.3d0c52p-7f));
    power = multiply_add(f, power, all(0x1.c6b6e4p-5f));
    power = multiply_add(f, power, all(0x1.ebf918p-3f));
    power = multiply_add(f, power, all(0x1.62e428p-1f));
    power = multiply_add(f, power, all(1));
    return power * floats_of(bits_of(shifted) << 23);
}

/* What is less than -ORDINARY counts as that: all these results are next to nothing. Here and below, the
 * order of arguments of least and most keeps NaN. */
static inline floats silu(floats y, const struct i4q_conv_activation *activation)
{
    floats above = most(all(-ORDINARY), y);
    return above / (1 + exp_minus(least(all(ORDINARY), above)));
}

static inline floats sigmoid(floats y, const struct i4q_conv_activation *activation)
{
    return 1 / (1 + exp_minus(least(all(ORDINARY), most(all(-ORDINARY), y))));
}

static inline floats relu(floats y, const struct i4q_conv_activation *activation)
{
    return most(all(0), y);
}

static inline floats leaky_relu(floats y, const struct i4q_conv_activation *activation)
{
    return most(all(0), y) + activation->alpha * least(all(0), y);
}

static inline floats hard_swish(floats y, const struct i4q_conv_activation *activation)
{
    return y * least(all(1), most(all(0), y * (1.0f / 6) + 0.5f));
}

static inline floats clip(floats y, const struct i4q_conv_activation *activation)
{
    return least(all(activation->high), most(all(activation->low), y));
}

static inline floats identity(floats y, const struct i4q_conv_activation *activation)
{
    return y;
}

/* ROW(enumerator, function) for each. */
#define ACTIVATIONS(ROW)                                                                                     \
    ROW(I4Q_CONV_NONE, identity)                                                                             \
    ROW(I4Q_CONV_SILU, silu)                                                                                 \
    ROW(I4Q_CONV_RELU, relu)                                                                                 \
    ROW(I4Q_CONV_LEAKY_RELU, leaky_relu)                                                                     \
    ROW(I4Q_CONV_HARD_SWISH, hard_swish)                                                                     \
    ROW(I4Q_CONV_SIGMOID, sigmoid)                                                                           \
    ROW(I4Q_CONV_CLIP, clip)

#endif

// SPDX-License-Identifier: Apache-2.0
/* Registers of one number: what conv_activation_impl.h is written in, for plain C. */
#ifndef INT4Q_KERNELS_LANES_SCALAR_H
#define INT4Q_KERNELS_LANES_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { WIDTH = 1 };
typedef float floats;
typedef uint32_t words;

static inline words bits_of(floats x)
{
    words bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline floats floats_of(words bits)
{
    floats x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline floats least(floats a, floats b)
{
    return a < b ? a : b;
}

static inline floats most(floats a, floats b)
{
    return a > b ? a : b;
}

static inline floats multiply_add(floats a, floats b, floats c)
{
    return fmaf(a, b, c);
}

#endif

// SPDX-License-Identifier: Apache-2.0
/* What a Conv applies to each of its results. */
#ifndef INT4Q_KERNELS_CONV_ACTIVATION_H
#define INT4Q_KERNELS_CONV_ACTIVATION_H

/* Of y; alpha, low and high are those of struct i4q_conv_activation. */
enum i4q_conv_function {
    I4Q_CONV_NONE,
    I4Q_CONV_SILU,       /* y * sigmoid(y) */
    I4Q_CONV_RELU,       /* 0 where y < 0 */
    I4Q_CONV_LEAKY_RELU, /* alpha * y where y < 0 */
    I4Q_CONV_HARD_SWISH, /* y * clamp(y * (1 / 6) + 0.5, 0, 1) */
    I4Q_CONV_SIGMOID,    /* 1 / (1 + exp(-y)) */
    I4Q_CONV_CLIP,       /* clamp(y, low, high) */
    I4Q_CONV_FUNCTIONS,
};

struct i4q_conv_activation {
    enum i4q_conv_function function;
    float alpha, low, high; /* finite */
};

/* The definition, which every kernel set computes to the bit, on any CPU, whatever its mathematical library.
 * SiLU and sigmoid are within 1.5e-6 of the true value, relative, for y >= -87 (6e-7 for y >= -20); below,
 * the results of -87 stand for all, which are less than 1.5e-36. NaN stays NaN. */
float i4q_conv_activate(const struct i4q_conv_activation *activation, float y);

#endif

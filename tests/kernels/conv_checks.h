// SPDX-License-Identifier: Apache-2.0
/* Convs of many shapes, for the tests of their kernels. No test framework in here, so that it also runs where
 * there is none: on another CPU, emulated. */
#ifndef INT4Q_CONV_CHECKS_H
#define INT4Q_CONV_CHECKS_H

#include "kernels/conv.h"

/* What is 0 stands for what is most usual: groups, kernel, strides, dilations and images 1, 4 bits. */
struct conv_case {
    struct i4q_conv_shape shape;
    size_t height, width, images;
    unsigned bits;
    bool is_unsigned, has_zero_points, has_no_bias;
    bool is_wide;         /* codes and zero points are large */
    bool has_odd_numbers; /* some channels have NaN and infinities */
    bool is_float;        /* level 0 */
    bool has_no_images;
    size_t block_size;
    struct i4q_conv_activation activation;
    float input_scale;
    uint8_t input_zero;
    uint32_t seed; /* of the numbers */
};

/* A Conv with all its numbers, in memory of exactly its size. */
struct conv_numbers {
    struct i4q_conv_spec spec;
    struct i4q_conv_input input;
    void *codes, *zero_points;
    float *scales, *bias, *x;
    size_t out[2], outputs; /* height and width of Y; all its numbers */
};

enum { CONV_LISTED = 63 }; /* cases chosen for what the kernels have code for; the others are random */

struct conv_case conv_case_at(uint32_t index);

/* What the case is, in a line. */
void conv_describe(const struct conv_case *conv, char *text, size_t size);

/* Numbers for the case; the Conv's output is there. */
struct conv_numbers conv_make(const struct conv_case *conv);
void conv_unmake(struct conv_numbers *numbers);

/* Y as the set computes it with that many workers, to be freed; NULL: it could not be prepared. */
float *conv_compute(const struct conv_numbers *numbers, const struct i4q_conv_kernels *set, size_t workers,
                    struct i4q_error *error);

/* Y by the formulas of conv.h, in binary64 and integers, and how far numbers of 32 bits may be from it. */
void conv_reference(const struct conv_numbers *numbers, double *y, double *tolerance);

/* Whether the set gives the scalar set's bytes with 1, 2 and 5 workers. */
bool conv_check(const struct conv_case *conv, const struct i4q_conv_kernels *set, char *message, size_t size);

#endif

// SPDX-License-Identifier: Apache-2.0
/* What the files behind conv.h share: what a prepared Conv is, and what a kernel set has to offer. */
#ifndef INT4Q_KERNELS_CONV_IMPL_H
#define INT4Q_KERNELS_CONV_IMPL_H

#include "kernels/conv.h"

/* Smallest and largest of some numbers and 0. */
struct i4q_conv_range {
    float low, high;
    bool finite; /* none of the numbers is NaN or infinite; else low and high are of no use */
};

/* How numbers become 8 bits, and back. */
struct i4q_conv_grid {
    float scale, inverse;
    int zero;
    bool possible; /* false: level 0 has to do it */
};

/* From sums to numbers: y = activation(float(sum - correction) * scale + bias). */
struct i4q_conv_finish {
    int32_t correction;
    float scale, bias;
    const struct i4q_conv_activation *activation;
};

/* A kernel set. n may be 0; pointers are aligned to their element type. */
struct i4q_conv_kernels {
    const char *name;
    unsigned needs; /* i4q_cpu_feature bits */

    /* Widens `range`, which begins as {0, 0, true}, to n more numbers. */
    void (*range)(const float *x, size_t n, struct i4q_conv_range *range);

    /* The numbers of n sums that follow each other in a row of Y. */
    void (*finish)(const int32_t *sums, size_t n, const struct i4q_conv_finish *finish, float *y);
};

extern const struct i4q_conv_kernels i4q_conv_scalar;

struct i4q_conv_algorithm;

struct i4q_conv {
    const struct i4q_conv_kernels *set;
    struct i4q_conv_shape shape;
    struct i4q_conv_activation activation;
    struct i4q_conv_grid input; /* that was given; scale 0: none was */
    unsigned level, bits;
    bool is_signed;
    size_t weights;    /* of an output: K */
    size_t block;      /* weights that share a scale; K where there are no blocks */
    size_t blocks;     /* of an output */
    float *scales;     /* outputs × blocks, as given */
    int16_t *zeros;    /* outputs × blocks */
    float *bias;       /* outputs */
    float *row_scales; /* outputs: one a channel, for level 4 */
    const struct i4q_conv_algorithm *algorithm;
};

/* An image being computed. */
struct i4q_conv_job {
    const struct i4q_conv *conv;
    const float *x; /* channels × height × width */
    const void *codes;
    float *y;
    size_t height, width, output[2];
    struct i4q_conv_grid *grids; /* i4q_conv_grids() of them */
    char *scratch;               /* what the algorithm asked for, aligned to 64 bytes */
    const struct i4q_conv_workers *workers;
};

/* A way to compute. `scratch` gives SIZE_MAX for more than there can be. */
struct i4q_conv_algorithm {
    size_t (*scratch)(const struct i4q_conv_job *job);
    void (*run)(const struct i4q_conv_job *job);
};

extern const struct i4q_conv_algorithm i4q_conv_plain;

/* Grids of an image: one, or one a channel where the Conv is depthwise. */
size_t i4q_conv_grids(const struct i4q_conv *conv);

/* Cuts `count` into pieces for the workers, and calls `piece` for each, perhaps at the same time: elements
 * first ... end - 1, `index` < workers. */
typedef void i4q_conv_piece(const void *context, size_t index, size_t first, size_t end);
void i4q_conv_share(const struct i4q_conv_workers *workers, size_t count, i4q_conv_piece *piece,
                    const void *context);

/* Codes less zero point, and decoded weights, of output o; K of each. `codes` as in struct i4q_conv_input. */
void i4q_conv_row(const struct i4q_conv *conv, const void *codes, size_t o, int16_t *row);
void i4q_conv_decoded_row(const struct i4q_conv *conv, const void *codes, size_t o, float *row);

/* The grid of a range. */
struct i4q_conv_grid i4q_conv_make_grid(const struct i4q_conv_range *range);

/* u of one number. */
uint8_t i4q_conv_quantize(const struct i4q_conv_grid *grid, float x);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * Convs at level 4 by dot products, without im2col and without a transposition: lanes of a register are
 * pixels.
 *
 * X is quantized into planes, one for each quad, which is 4 channels of a group: a pixel of it is 4 bytes, so
 * a register holds as many pixels as it has lanes of 32 bits. Rows follow each other in a plane with their
 * padding between them, the right one of a row being the left one of the next where both are as wide. Y's
 * pixels lie as the plane's do, so a tap of the kernel is an offset, the same for all pixels. With a stride
 * of s, the pixels that are s apart are neighbours in a plane of their own, and there are s * s of them
 * (phases).
 *
 * A step is a quad at a tap. Outputs come in tiles of I4Q_DENSE_ROWS; the weights of a tile, a step after the
 * other, are 4 for each of its outputs. They are held as nibbles and decoded whenever a tile is computed,
 * which takes no time to speak of beside the products.
 */
#ifndef INT4Q_KERNELS_CONV_DENSE_H
#define INT4Q_KERNELS_CONV_DENSE_H

#include "kernels/conv_impl.h"

enum {
    I4Q_DENSE_ROWS = 8,                 /* outputs of a tile */
    I4Q_DENSE_STEP = 4 * I4Q_DENSE_ROWS /* its weights of a step */
};

/* sums[o][p] = (or +=) 2^shift * (sum over all steps s, and over i < 4, of
 *                          weights[s][o][i] * pixels[offsets[s] + 4 * p + i])
 * for each o < I4Q_DENSE_ROWS and p < registers * the set's lanes. A set that is not wide adds up in int16_t
 * within a run of steps; runs are such that nothing overflows. */
struct i4q_dense_dot {
    const int8_t *weights;
    const uint8_t *pixels;
    const size_t *offsets;
    const uint16_t *runs; /* steps of each */
    size_t run_count;
    unsigned shift;
    bool add; /* += */
    size_t registers;
    int32_t *sums;
    size_t pitch; /* of sums: elements between outputs */
};

/* A kernel set's part. */
struct i4q_dense_kernels {
    size_t lanes;   /* pixels of a register */
    size_t columns; /* registers that dot likes best: it is called with a multiple of them where it can be */
    bool wide;      /* dot takes any weight of 8 bits, and runs of any length */
    int origin;     /* subtracted from each u in the planes: 0, or 128 where pixels are signed */

    /* Pixels of a quad: n of four channels. */
    void (*quantize)(const float *const x[4], size_t n, const struct i4q_conv_grid *grid, uint8_t *pixels);

    void (*dot)(const struct i4q_dense_dot *dot);
};

#if defined(__x86_64__)
extern const struct i4q_dense_kernels i4q_dense_avx2, i4q_dense_avxvnni, i4q_dense_avx512vnni;
#elif defined(__aarch64__)
extern const struct i4q_dense_kernels i4q_dense_neon, i4q_dense_neondot;
#endif

#endif

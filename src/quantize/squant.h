// SPDX-License-Identifier: Apache-2.0
/*
 * SQuant: on-the-fly data-free quantization via diagonal Hessian approximation (Guo et al., ICLR 2022,
 * arXiv 2202.07471).
 *
 * What a Conv adds up has a mean: its inputs come out of SiLU or ReLU. Rounding errors of one sign therefore
 * act as a bias at every pixel. Starting from the nearest codes, this moves single weights to the code on
 * their other side, those first that were nearly half a step off, until the errors of every kernel, and then
 * of every output channel, add up to at most half a step. No weight moves by more than one code.
 */
#ifndef INT4Q_QUANTIZE_SQUANT_H
#define INT4Q_QUANTIZE_SQUANT_H

#include "kernels/sets.h"

/* One output channel of a weight. */
struct i4q_row {
    const float *weights; /* [count] */
    size_t count;
    size_t kernel;                /* elements of an input channel, consecutive; divides count */
    size_t block;                 /* elements that share a grid, consecutive */
    const struct i4q_grid *grids; /* [ceil(count / block)] */
    int8_t *codes;                /* [count], in: nearest, out: chosen */
};

/* Room for the work on a row of `count` elements; the caller owns the arrays. */
struct i4q_squant_room {
    double *errors;    /* [count] code - w / scale, both without zero point */
    uint32_t *heap;    /* [count] */
    uint32_t *movable; /* [count] */
};

/* Chooses the codes of a row with finite weights. */
void i4q_squant(const struct i4q_row *row, const struct i4q_squant_room *room);

#endif

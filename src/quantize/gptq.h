// SPDX-License-Identifier: Apache-2.0
/*
 * Codes that keep the output of a Conv, given the covariance A of its inputs: each row of a weight minimizes
 * e^T A e over its codes, with e = w - decoded.
 *
 * GPTQ (Frantar et al. 2022, arXiv 2210.17323), as back substitution with A = R^T R: from the last weight to
 * the first, each takes the code that best makes up for the errors of those behind it,
 *     q_j = round((w_j + sum_{i>j} R_ji e_i / R_jj) / s)
 * Coordinate descent (as in COMQ and QuantEase): sweeps over the weights, each of which takes the best code
 * given all others, until none changes; never worse than where it starts:
 *     q_j = round(q_j + (A e)_j / (A_jj s))
 *
 * All sums are in binary64 and in a fixed order, so the codes do not depend on kernels and threads.
 */
#ifndef INT4Q_QUANTIZE_GPTQ_H
#define INT4Q_QUANTIZE_GPTQ_H

#include "base/error.h"
#include "kernels/sets.h"
#include "quantize/moments.h"

/* The rows of one group, in memory of the caller. */
struct i4q_reconstruction {
    const struct i4q_kernels *kernels;
    unsigned threads; /* 0: one a processor */
    const struct i4q_moments *moments;
    size_t group;
    bool gptq;    /* start from GPTQ, else from the codes that are there */
    bool descend; /* coordinate descent; without it and GPTQ the codes stay, and only the error is told */
    size_t rows, k;
    const float *weights;         /* [rows, k], finite */
    size_t block;                 /* elements of a row that share a grid */
    const struct i4q_grid *grids; /* [rows, ceil(k / block)] */
    int8_t *codes;                /* [rows, k] in and out */
};

/* Sums of w^T A w and e^T A e over the rows. */
struct i4q_output_error {
    double signal, noise;
};

/* Adds what it estimates to `output`. I4Q_FAILED: no memory, about 8 k^2 bytes; I4Q_MODEL: the moments are
 * not finite. */
bool i4q_reconstruct(const struct i4q_reconstruction *work, struct i4q_output_error *output,
                     struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* Weights that hold the inverse of what was done to the channels that their Conv reads: activations are
 * quantized by a scale a channel and decoded by one, or pass a Mul first (rewrite --activation-scales
 * channel). They are as many times larger than those of the reference. */
#ifndef INT4Q_INSPECT_FACTORS_H
#define INT4Q_INSPECT_FACTORS_H

#include "inspect/inspection.h"

struct i4q_factors {
    const float *ratios; /* [count] what channels were multiplied by; NULL: it cannot be told */
    size_t count;        /* 1: all of them alike */
    size_t behind;       /* dimensions behind that of the channels; 0: not told */
};

/* By the index of a value of the inspected model: what was done to it, where its like in the reference has
 * not been so; NULL: nothing. All of it in the arena of the inspected model; NULL when memory runs out. */
const struct i4q_factors *const *i4q_factors_find(const struct i4q_inspection *inspection,
                                                  const struct i4q_model *reference);

/* Of what the Conv reads; NULL: nothing was done to it. */
const struct i4q_factors *i4q_factors_of(const struct i4q_factors *const *all, const struct i4q_conv *conv);

/* The ratios as a Conv's weight meets them. */
struct i4q_undoing {
    const struct i4q_factors *factors; /* NULL: nothing is to be undone */
    size_t inner, kernel;              /* weights of an output; of those that meet one channel */
    size_t inputs, outputs;            /* of a group */
};

/* False: the ratios are not known, or do not fit a weight of this shape. */
bool i4q_undoing_open(const struct i4q_factors *factors, const struct i4q_conv *conv,
                      const struct i4q_storage *storage, struct i4q_undoing *undoing);

/* Multiplies `n` weights from element `start` on by the ratios that they meet: the weights that meet the
 * channels as they were. */
void i4q_undo_factors(const struct i4q_undoing *undoing, size_t start, size_t n, float *weights);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Weights that hold the inverse of what was done to the channels that their Conv reads: activations are
 * quantized by a scale a channel and decoded by one, or pass a Mul first (rewrite --activation-scales
 * channel). They are as many times larger than those of the reference. */
#ifndef INT4Q_INSPECT_FACTORS_H
#define INT4Q_INSPECT_FACTORS_H

#include "inspect/inspection.h"

/* By the index of a value of the inspected model: whether Convs that read it have such weights, and those of
 * the reference have not. In the arena of the inspected model; NULL when memory runs out. */
const bool *i4q_factors_mark(const struct i4q_inspection *inspection, const struct i4q_model *reference);

/* Whether the Conv reads a marked value. */
bool i4q_factors_meet(const bool *marks, const struct i4q_conv *conv);

#endif

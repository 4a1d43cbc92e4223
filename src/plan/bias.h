// SPDX-License-Identifier: Apache-2.0
/*
 * Bias correction (Banner et al. 2019, arXiv 1810.05723; Nagel et al. 2019, arXiv 1906.04721): quantization
 * errors have a mean effect on each output channel, sum (w - decoded) E[x], which the bias takes up at no
 * cost.
 */
#ifndef INT4Q_PLAN_BIAS_H
#define INT4Q_PLAN_BIAS_H

#include "plan/plan.h"

/* Whether the bias of a Conv can be changed: it has none, or a constant one of its weight's type. */
bool i4q_bias_is_constant(const struct i4q_plan *plan, const struct i4q_plan_row *row);

/* The bias of a Conv for which that holds as it shall be, corrected where it is measured: zeros where it has
 * none. NULL: memory ran out, or its payload cannot be read. */
float *i4q_bias_values(const struct i4q_plan *plan, const struct i4q_plan_row *row,
                       struct i4q_arena *arena) I4Q_MUST_CHECK;

/* Corrects the biases of all Convs whose weights were measured, but for those that compute in 8 bits
 * (fused.h). A bias that something else reads too is left alone, and the Conv gets one of its own. False only
 * when memory runs out. */
bool i4q_bias_apply(const struct i4q_plan *plan) I4Q_MUST_CHECK;

#endif

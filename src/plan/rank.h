// SPDX-License-Identifier: Apache-2.0
/*
 * --rank: how much each Conv is likely to lose, for want of a measurement. The loss of a Conv is its
 * noise-to- signal ratio when it is quantized: of its weights, or, with calibration statistics, of its output
 * as gptq.h estimates it. What counts is the loss that a byte buys off, so the ratio is divided
 * by the number of weights: keeping many small Convs pays more than keeping a large one.
 */
#ifndef INT4Q_PLAN_RANK_H
#define INT4Q_PLAN_RANK_H

#include "plan/plan.h"

struct i4q_estimate {
    struct i4q_weights *facts;
    const struct i4q_plan_options *options;
    const struct i4q_kernels *kernels;
    unsigned threads;
    bool by_outputs; /* else by weights */
};

/* The loss a weight of every row of a plan for the model, NAN for those that are not to be quantized anyway.
 * The array is in `arena`, which is not that of the model: what the estimate takes there is given back. Fails
 * as planning and quantizing do. */
bool i4q_estimate_losses(const struct i4q_estimate *estimate, struct i4q_arena *arena, const double **losses,
                         struct i4q_error *error) I4Q_MUST_CHECK;

#endif

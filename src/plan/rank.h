// SPDX-License-Identifier: Apache-2.0
/*
 * What Convs are likely to lose, for want of a measurement. The loss of a Conv is its noise-to-signal ratio
 * when it is quantized: of its weights, e^T e / w^T w, or, with calibration statistics, of its output as
 * gptq.h estimates it, e^T A e / w^T A w.
 *
 * --rank: what counts is the loss that a byte buys off, so the ratio is divided by the number of weights:
 * keeping many small Convs pays more than keeping a large one.
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

/* What a weight comes to by a recipe. */
struct i4q_prospect {
    size_t bytes; /* of codes, scales and zero points, or of floats */
    double loss;  /* NAN: it is not to be quantized anyway */
};

/* The prospects of every weight of the facts, with each of `count` recipes, of which one at least has a
 * format: [weights][recipes]. By outputs,
 * recipes that do not look at statistics are taken for SQuant, and GPTQ for coordinate descent, which takes
 * a fifth of the time and comes as near. Takes the memory of one quantized model at a time; the array is in
 * `arena`, which is not that of the model: what the estimate takes there is given back. Fails as planning
 * and quantizing do. */
bool i4q_forecast(const struct i4q_estimate *estimate, const struct i4q_recipe *recipes, size_t count,
                  struct i4q_arena *arena, struct i4q_prospect **prospects,
                  struct i4q_error *error) I4Q_MUST_CHECK;

/* The loss a weight of every row of a plan for the model, with the codes of SQuant; NAN for those that are
 * not to be quantized anyway. Otherwise as above. */
bool i4q_estimate_losses(const struct i4q_estimate *estimate, struct i4q_arena *arena, const double **losses,
                         struct i4q_error *error) I4Q_MUST_CHECK;

#endif

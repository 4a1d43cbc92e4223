// SPDX-License-Identifier: Apache-2.0
/* Makes a plan: what the user chose, what stands in the way, and who is kept. */
#ifndef INT4Q_PLAN_PLANNER_H
#define INT4Q_PLAN_PLANNER_H

#include "plan/plan.h"

/* A plan for these weights. I4Q_USAGE: a pattern without a match, --keep or --quantize with a JSON that has
 * no scores; I4Q_MODEL: what the modules below refuse. */
bool i4q_plan_make(struct i4q_weights *facts, const struct i4q_plan_options *options, struct i4q_plan *plan,
                   struct i4q_error *error) I4Q_MUST_CHECK;

/* The same plan, but that the `count` most sensitive Convs are kept. Not once it is quantized. Costs no more
 * than a look at each Conv, and takes no memory. I4Q_MODEL: statistics that do not fit a weight. */
bool i4q_plan_keep(struct i4q_plan *plan, size_t count, struct i4q_error *error) I4Q_MUST_CHECK;

/* The same plan with other choices for its weights. Otherwise as i4q_plan_keep. */
bool i4q_plan_choose(struct i4q_plan *plan, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

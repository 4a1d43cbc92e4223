// SPDX-License-Identifier: Apache-2.0
/* From the reasons of the Convs to what becomes of each weight. */
#ifndef INT4Q_PLAN_SETTLE_H
#define INT4Q_PLAN_SETTLE_H

#include "plan/plan.h"

/* Gives a recipe and a job to each weight whose Convs agree on one, by their reasons as far as they go
 * without numbers, and concludes. I4Q_MODEL: statistics that do not fit a weight. */
bool i4q_plan_settle(struct i4q_plan *plan, struct i4q_error *error) I4Q_MUST_CHECK;

/* The last reasons, `non-finite` and `shared`, with what is known of the weights by now. */
void i4q_plan_conclude(struct i4q_plan *plan);

#endif

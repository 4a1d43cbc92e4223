// SPDX-License-Identifier: Apache-2.0
/* The numbers of a plan. */
#ifndef INT4Q_PLAN_APPLY_H
#define INT4Q_PLAN_APPLY_H

#include "plan/plan.h"

/* Quantizes what the plan asks for, and makes the plan final: what is not finite stays as it is, and so do
 * weights whose Convs disagree. Codes and scales are in the model's arena. Errors are those of i4q_quantize.
 */
bool i4q_plan_quantize(struct i4q_plan *plan, const struct i4q_kernels *kernels, unsigned threads,
                       struct i4q_error *error) I4Q_MUST_CHECK;

#endif

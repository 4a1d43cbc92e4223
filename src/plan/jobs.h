// SPDX-License-Identifier: Apache-2.0
/* What the quantizer is to do for a weight, and what is known of the inputs that the weight meets. */
#ifndef INT4Q_PLAN_JOBS_H
#define INT4Q_PLAN_JOBS_H

#include "plan/plan.h"

/* Describes the job of a weight, and chooses its form; the buffers for codes, scales and zero points are not
 * there yet. I4Q_MODEL: statistics that do not fit the weight. */
bool i4q_plan_make_job(struct i4q_plan *plan, struct i4q_plan_weight *weight, const struct i4q_recipe *recipe,
                       struct i4q_error *error) I4Q_MUST_CHECK;

/* Whether the codes of a job aim at something else than its weights. */
bool i4q_job_has_target(const struct i4q_quantize_job *job);

/* Whether its codes are so fine that their means need no correction: statistics are not looked up for it,
 * unless a method is asked for that makes the most of them. */
bool i4q_job_is_left_alone(const struct i4q_quantize_job *job);

#endif

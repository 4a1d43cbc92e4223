// SPDX-License-Identifier: Apache-2.0
/* The activations of a plan: from the statistics to what stands before its Convs. */
#ifndef INT4Q_PLAN_ACTIVATIONS_H
#define INT4Q_PLAN_ACTIVATIONS_H

#include "plan/plan.h"

/* Finds the values that the Convs of a plan read, and the ranges of those that can be quantized. I4Q_MODEL:
 * statistics without histograms, or of another model. */
bool i4q_plan_activations_find(struct i4q_plan *plan, unsigned threads,
                               struct i4q_error *error) I4Q_MUST_CHECK;

/* Says of each whether it is quantized, with what is known of the weights by now. */
void i4q_plan_activations_conclude(struct i4q_plan *plan);

/* What a weight meets, where all Convs that read it read one value, which is not float by itself; or NULL. */
const struct i4q_plan_activation *i4q_plan_activation_met(const struct i4q_plan_weight *weight);

/* Where biases are corrected, once there are codes: they make up for what the quantization of its input adds
 * to the mean of a Conv, too. False only when memory runs out. */
bool i4q_plan_activations_correct(struct i4q_plan *plan) I4Q_MUST_CHECK;

#endif

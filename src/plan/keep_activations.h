// SPDX-License-Identifier: Apache-2.0
/* Which activations keep 8 bits where the others get fewer: the most sensitive ones, by an estimate or by a
 * file of measurements in the shapes of --topk, whose names are those of tensors. */
#ifndef INT4Q_PLAN_KEEP_ACTIVATIONS_H
#define INT4Q_PLAN_KEEP_ACTIVATIONS_H

#include "plan/plan.h"

/* Takes the losses from the file, if there is one, in place of the estimates, and settles how many are kept.
 * I4Q_MODEL, about the file: as i4q_sensitivity_read; I4Q_USAGE: a number, but the file has no scores. */
bool i4q_keep_activations_read(struct i4q_plan *plan, struct i4q_error *error) I4Q_MUST_CHECK;

/* Chooses among those that are quantized. */
void i4q_keep_activations_choose(struct i4q_plan *plan);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * Nodes of QONNX and its kin that no runtime but their own tools have: what --import makes of those that are
 * no weight's, and which are left.
 *
 * Of activations a Quant becomes QuantizeLinear (, Clip) and DequantizeLinear where these give the same
 * numbers, a BipolarQuant GreaterOrEqual and Where; those of constants (biases, factors) become float
 * initializers.
 */
#ifndef INT4Q_PLAN_QUANTS_H
#define INT4Q_PLAN_QUANTS_H

#include "plan/plan.h"

/* Finds the nodes, where weights are imported; `all`: more than weights are. I4Q_MODEL: one of them that no
 * runtime could make sense of. */
bool i4q_plan_quants_find(struct i4q_plan *plan, bool all, struct i4q_error *error) I4Q_MUST_CHECK;

/* What becomes of one, with what is known of the weights by now. */
enum i4q_quant_fate i4q_plan_quant_fate(const struct i4q_plan *plan, const struct i4q_plan_quant *quant);

/* The first that is left; NULL: none is. */
const struct i4q_plan_quant *i4q_plan_first_left(const struct i4q_plan *plan);

/* How many have a fate. */
size_t i4q_plan_count_quants(const struct i4q_plan *plan, enum i4q_quant_fate fate);

/* Whether any of them becomes something else; whether anything of the model is to be written otherwise. */
bool i4q_plan_changes_quants(const struct i4q_plan *plan);
bool i4q_plan_writes(const struct i4q_plan *plan);

#endif

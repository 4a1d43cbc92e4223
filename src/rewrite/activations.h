// SPDX-License-Identifier: Apache-2.0
/* Activations of a final plan: nodes that quantize them, for its Convs to read. */
#ifndef INT4Q_REWRITE_ACTIVATIONS_H
#define INT4Q_REWRITE_ACTIVATIONS_H

#include "plan/plan.h"

/* The version of ai.onnx that they need, 0 without any. */
int64_t i4q_activations_opset(const struct i4q_plan *plan);

/* Puts the nodes of each right behind the one that makes it, and has the Convs whose weights are stored anew
 * read them. All else reads what it read; so do operators that quantize to 8 bits by themselves, for which
 * `ranges` gets the ranges (see i4q_emission). False only when memory runs out. */
bool i4q_activations_apply(const struct i4q_plan *plan, struct i4q_table *ranges) I4Q_MUST_CHECK;

#endif

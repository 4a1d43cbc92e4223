// SPDX-License-Identifier: Apache-2.0
/* Graph surgery for a final plan: initializers and DequantizeLinear nodes take the place of the weights. */
#ifndef INT4Q_REWRITE_REWRITE_H
#define INT4Q_REWRITE_REWRITE_H

#include "onnx/opset/upgrade.h"
#include "plan/plan.h"

struct i4q_rewrite {
    int64_t ir_version[2]; /* before, after */
    int64_t opset[2];      /* of ai.onnx in the main graph, before, after */
    const struct i4q_upgrade *upgrades;
    size_t inputs_dropped; /* initializers that left graph.input */
};

/* Changes the messages of the plan's model. `opset` is the version asked for, 0 for what is needed. When no
 * weight gets a recipe the model stays as it is. I4Q_USAGE: `opset` is below the need; I4Q_MODEL: an operator
 * that cannot be upgraded. */
bool i4q_rewrite_apply(const struct i4q_plan *plan, int64_t opset, struct i4q_rewrite *result,
                       struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* What --import makes of Quant nodes that are no weight's. */
#ifndef INT4Q_REWRITE_QUANTS_H
#define INT4Q_REWRITE_QUANTS_H

#include "plan/quants.h"

/* The version of ai.onnx that it needs; 0: any. */
int64_t i4q_quants_opset(const struct i4q_plan *plan);

/* Puts other nodes and initializers in their place, and takes out domains that nothing is left of. False only
 * when memory runs out. */
bool i4q_quants_apply(const struct i4q_plan *plan) I4Q_MUST_CHECK;

#endif

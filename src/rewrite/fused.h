// SPDX-License-Identifier: Apache-2.0
/* Stretches of a final plan that compute in 8 bits (plan/fused.h): their nodes. */
#ifndef INT4Q_REWRITE_FUSED_H
#define INT4Q_REWRITE_FUSED_H

#include "plan/plan.h"

/* A pair of QuantizeLinear and DequantizeLinear behind each value that is quantized, which all that read it
 * read from then on; and biases in INT32. False only when memory runs out. */
bool i4q_fused_apply(const struct i4q_plan *plan) I4Q_MUST_CHECK;

#endif

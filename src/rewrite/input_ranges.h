// SPDX-License-Identifier: Apache-2.0
/* Ranges that ConvNBits nodes have for what they read, as nodes of their own. */
#ifndef INT4Q_REWRITE_INPUT_RANGES_H
#define INT4Q_REWRITE_INPUT_RANGES_H

#include "onnx/model.h"

/* QuantizeLinear and DequantizeLinear, before the first of the nodes that have the same range for a tensor,
 * take its place: input_scale is 0 then, and the model indexed anew. I4Q_MODEL: a range that is none. */
bool i4q_input_ranges_split(struct i4q_model *model, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

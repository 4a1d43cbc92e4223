// SPDX-License-Identifier: Apache-2.0
/* The element types of values: what is declared, stored, said by a node, or the same as that of an input. */
#ifndef INT4Q_ONNX_OPSET_TYPES_H
#define INT4Q_ONNX_OPSET_TYPES_H

#include "onnx/model.h"

/* Finds the element types of values, as far as declarations, constants and operators tell them: sets
 * i4q_value.element_type. */
void i4q_opset_find_types(struct i4q_model *model);

/* What is known after that: TensorProto.DataType, 0: nothing. */
int32_t i4q_opset_type(const struct i4q_value *value);

#endif

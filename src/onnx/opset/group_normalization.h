// SPDX-License-Identifier: Apache-2.0
/* GroupNormalization before version 21: a scale and bias for each group, then for each channel, to which they
 * are repeated. */
#ifndef INT4Q_ONNX_OPSET_GROUP_NORMALIZATION_H
#define INT4Q_ONNX_OPSET_GROUP_NORMALIZATION_H

#include "onnx/opset/tools.h"

/* A rule of the table in rules.c: false when memory runs out or after i4q_opset_refuse. */
bool i4q_opset_group_normalization(struct i4q_upgrader *u, Onnx__NodeProto *node);

#endif

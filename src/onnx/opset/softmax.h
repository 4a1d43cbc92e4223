// SPDX-License-Identifier: Apache-2.0
/* Softmax, LogSoftmax, Hardmax, before version 13: over all trailing dimensions at once, then one axis. For
 * an axis that is not the last one, Flatten and Reshape go around the node. */
#ifndef INT4Q_ONNX_OPSET_SOFTMAX_H
#define INT4Q_ONNX_OPSET_SOFTMAX_H

#include "onnx/opset/tools.h"

/* A rule of the table in rules.c: false when memory runs out or after i4q_opset_refuse. */
bool i4q_opset_softmax(struct i4q_upgrader *u, Onnx__NodeProto *node);

#endif

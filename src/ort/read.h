// SPDX-License-Identifier: Apache-2.0
/* A node as ONNX Runtime tells it when it makes a kernel. */
#ifndef INT4Q_ORT_READ_H
#define INT4Q_ORT_READ_H

#include "ort/calls.h"
#include "ort/node.h"

/* The inputs, in their order. */
enum i4q_node_index {
    I4Q_NODE_X,
    I4Q_NODE_W,
    I4Q_NODE_SCALES,
    I4Q_NODE_ZERO_POINTS,
    I4Q_NODE_B,
    I4Q_NODE_INPUTS
};

/* Attributes and constant inputs; what these hold belongs to the session. False: an attribute of another type
 * than it should have, or an input that is no initializer. */
bool i4q_ort_read_node(const OrtApi *api, const OrtKernelInfo *info, struct i4q_node *node,
                       struct i4q_error *error) I4Q_MUST_CHECK;

/* The shape of X: a rank of 0 where it is not known, a dimension of -1 where that is not known. A rank of
 * more than I4Q_NODE_RANK comes without dimensions. */
bool i4q_ort_read_input_shape(const OrtApi *api, const OrtKernelInfo *info, int64_t dims[I4Q_NODE_RANK],
                              size_t *rank, struct i4q_error *error) I4Q_MUST_CHECK;

/* Type and shape of a tensor, and where its elements are. */
bool i4q_ort_read_tensor(const OrtApi *api, const OrtValue *value, struct i4q_node_tensor *tensor,
                         struct i4q_error *error) I4Q_MUST_CHECK;

#endif

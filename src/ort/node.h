// SPDX-License-Identifier: Apache-2.0
/*
 * What a ConvNBits node says, as it stands in the graph, and what that means for the kernels. Knows nothing
 * of ONNX Runtime; docs/conv_nbits.md is the specification.
 */
#ifndef INT4Q_ORT_NODE_H
#define INT4Q_ORT_NODE_H

#include "kernels/conv.h"

#include <stddef.h>
#include <stdint.h>

enum {
    I4Q_NODE_RANK = 4,             /* dimensions of X and of a weight, at most */
    I4Q_NODE_INTS = I4Q_NODE_RANK, /* elements of a list, at most: pads of two dimensions */
};

/* An attribute of many integers; a `count` of more than I4Q_NODE_INTS tells how many there are, not more. */
struct i4q_node_ints {
    size_t count; /* 0: the attribute is not there */
    int64_t values[I4Q_NODE_INTS];
};

/* An input; borrowed. */
struct i4q_node_tensor {
    int32_t type; /* TensorProto.DataType; 0: the input is not there */
    size_t rank;  /* more than I4Q_NODE_RANK: the dimensions are not told */
    int64_t dims[I4Q_NODE_RANK];
    const void *data;
};

struct i4q_node {
    struct i4q_node_ints weight_shape, strides, pads, dilations;
    int64_t bits, axis, block_size, accuracy_level, group, activation, input_zero_point;
    float alpha, beta, input_scale;
    struct i4q_node_tensor weight, scales, zero_points, bias;
};

/* The attributes: one row each, for whoever reads them from a graph. */
enum i4q_attribute_kind { I4Q_ATTRIBUTE_INT, I4Q_ATTRIBUTE_FLOAT, I4Q_ATTRIBUTE_INTS };

struct i4q_attribute {
    const char *name;
    enum i4q_attribute_kind kind;
    size_t offset;   /* in struct i4q_node, of an int64_t, a float, a struct i4q_node_ints */
    int64_t missing; /* what it is when it is not there, an integer or a float; lists: empty */
};

/* Ends with a row whose name is NULL. */
extern const struct i4q_attribute i4q_attributes[];

/* Checks everything that can be known without X, and says what to compute. The spec borrows what the tensors
 * hold. `dimensions` becomes that of the space: 1 or 2. */
bool i4q_node_spec(const struct i4q_node *node, struct i4q_conv_spec *spec, size_t *dimensions,
                   struct i4q_error *error) I4Q_MUST_CHECK;

/* The sizes of X as the kernels want them, once they are known: `dims` of `rank`. */
bool i4q_node_input(const struct i4q_conv_shape *shape, size_t dimensions, const int64_t *dims, size_t rank,
                    struct i4q_conv_input *input, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

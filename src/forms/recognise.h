// SPDX-License-Identifier: Apache-2.0
/* What the forms have in common when they know themselves again in a graph: the walk from a weight back to
 * what is stored for it, and what the tensors found there say. */
#ifndef INT4Q_FORMS_RECOGNISE_H
#define INT4Q_FORMS_RECOGNISE_H

#include "base/arena.h"
#include "forms/storage.h"
#include "onnx/layers.h"

struct i4q_walk {
    struct i4q_arena *arena;
    struct i4q_storage *storage;
    const struct i4q_node *at; /* the next node to look at; NULL: none */
};

/* A walk that begins with the node that makes the Conv's weight. */
struct i4q_walk i4q_walk_from(struct i4q_arena *arena, const struct i4q_conv *conv,
                              struct i4q_storage *storage);

/* The node, if it is `op`; the walk then goes on to what makes its first operand. Else NULL. */
const struct i4q_node *i4q_walk_step(struct i4q_walk *walk, const char *op);

/* The shape that a Reshape gives the weight; false where it is not constant and of positive dimensions. */
bool i4q_walk_shape(struct i4q_walk *walk, const struct i4q_node *reshape);

/* Passes a Reshape, if there is one; false if its shape cannot be told. */
bool i4q_walk_reshape(struct i4q_walk *walk);

/* Whether the node is this operator, QuantizeLinear or DequantizeLinear, of ONNX or of com.microsoft. */
bool i4q_is_linear(const struct i4q_node *node, const char *op);

/* The stored tensor that an input is, or NULL. */
const Onnx__TensorProto *i4q_input_tensor(const struct i4q_node *node, size_t input);

/* Whether the first input is stored, and not of a float type. */
bool i4q_reads_integers(const struct i4q_node *node);

/* Takes codes, scale and zero point, each of which may be NULL, into the storage: by the rules of
 * DequantizeLinear, for which axis and block are set before, or by those of broadcasting. */
void i4q_describe_integers(struct i4q_storage *storage, const Onnx__TensorProto *codes,
                           const Onnx__TensorProto *scale, const Onnx__TensorProto *zero_point);

/* The same for (codes - zero point) * scale in plain nodes, of which the first reads the codes; mul and sub
 * may be NULL. False: a zero point that is not stored. */
bool i4q_describe_arithmetic(struct i4q_storage *storage, const struct i4q_node *first,
                             const struct i4q_node *mul, const struct i4q_node *sub);

/* Whether integers of this shape with that scale and zero point are surely a quantized weight: one scale for
 * all, along one axis or for each block, and zero points of one number or the scale's shape. Any other
 * arithmetic on a constant is just that. */
bool i4q_fits_arithmetic(const struct i4q_storage *storage, const int64_t *dims, size_t rank);

#endif

// SPDX-License-Identifier: Apache-2.0
/* What the rules of an upgrade are made of: questions to a node, and new nodes around it. */
#ifndef INT4Q_ONNX_OPSET_TOOLS_H
#define INT4Q_ONNX_OPSET_TOOLS_H

#include "onnx/edit.h"

/* The upgrade of one graph or function body. */
struct i4q_upgrader {
    struct i4q_model *model;
    const struct i4q_scope *scope;
    int64_t version;       /* that the nodes get in the end */
    const char *op_type;   /* of the node at hand, as the model has it: rules may rename it */
    struct i4q_list nodes; /* the new node list: what comes before the node at hand is in it */
    struct i4q_list after; /* nodes that come right behind it */
    bool changed;          /* the rule had to change the node */
    struct i4q_error *error;
};

/* The error of a node that cannot be upgraded exactly. Returns false. */
bool i4q_opset_refuse(struct i4q_upgrader *upgrader, const Onnx__NodeProto *node, const char *format, ...)
    I4Q_PRINTF(3, 4);

/* Results of rules read as sentences: return i4q_up_done(u) after a change, I4Q_UP_UNCHANGED without one. */
enum { I4Q_UP_UNCHANGED = true };
bool i4q_up_done(struct i4q_upgrader *u);

/* ---- what a node says */

/* The attribute `name`, NULL when it is absent. False, and refused: it stands for an attribute of the
 * function that the node is in, whose value only a call tells; or it is of another type, which would read as
 * empty. */
bool i4q_up_find(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *name,
                 Onnx__AttributeProto__AttributeType type, Onnx__AttributeProto **attribute);

bool i4q_up_has_input(const Onnx__NodeProto *node, size_t index);

/* The value, the constant tensor, the element type (0: unknown) and the rank (-1: unknown) of an input, as
 * far as the model tells. Values made by the upgrade are not known. */
const struct i4q_value *i4q_up_value(const struct i4q_upgrader *u, const Onnx__NodeProto *node, size_t index);
const Onnx__TensorProto *i4q_up_constant(const struct i4q_upgrader *u, const Onnx__NodeProto *node,
                                         size_t index);
int32_t i4q_up_type(const struct i4q_upgrader *u, const Onnx__NodeProto *node, size_t index);
int64_t i4q_up_rank(const struct i4q_upgrader *u, const Onnx__NodeProto *node, size_t index);

/* ---- new nodes around `node`; each returns the name of their output, or NULL when memory runs out */

/* A free name made from that of the node. */
char *i4q_up_new_name(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix);

/* A node with one output, put into `list` (nodes or after of the upgrader). */
const char *i4q_up_emit(struct i4q_upgrader *u, struct i4q_list *list, const Onnx__NodeProto *node,
                        const char *op_type, const char *suffix, const char *const *inputs, size_t n_inputs,
                        Onnx__NodeProto **made);

/* A Constant in front of the node: of any kind, of INT64 values, or a scalar FLOAT, FLOAT16 or DOUBLE.
 * Constants rather than initializers, because functions have none and bodies seldom do: one form serves all
 * three. */
const char *i4q_up_constant_node(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix,
                                 int32_t type, const int64_t *dims, size_t n_dims, const void *data,
                                 size_t size);
const char *i4q_up_ints(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix,
                        const int64_t *values, size_t n);
const char *i4q_up_scalar(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix,
                          int32_t type, float value);

#endif

// SPDX-License-Identifier: Apache-2.0
/* The convolutions of a model and where each gets its weight from. Facts only: what follows from them is
 * decided by the plan. */
#ifndef INT4Q_CONV_H
#define INT4Q_CONV_H

#include "int4q/model.h"

/* An operator with a weight. */
struct i4q_conv_op {
    const char *op_type;
    size_t weight_input; /* which of its inputs */
    size_t channel_axis; /* of the weight: its output channels */
    bool integer;        /* takes integer weights only, hence is quantized already */
};

/* What stands at the source of a weight, behind any number of Identity nodes. */
enum i4q_source {
    I4Q_SOURCE_STORED,   /* an initializer, or a Constant node with a dense tensor */
    I4Q_SOURCE_SPARSE,   /* a sparse initializer, or a Constant node with a sparse tensor */
    I4Q_SOURCE_INPUT,    /* a graph input without a value, or a formal input */
    I4Q_SOURCE_DECODED,  /* integers that nodes decode: a DequantizeLinear, or Cast and arithmetic */
    I4Q_SOURCE_COMPUTED, /* other nodes */
};

struct i4q_conv {
    const struct i4q_node *node;
    const struct i4q_conv_op *op;
    enum i4q_source source;
    struct i4q_value *weight;       /* the value at the source, behind Identity nodes; never NULL */
    Onnx__TensorProto *tensor;      /* I4Q_SOURCE_STORED: its elements; else NULL */
    const struct i4q_node *decoder; /* I4Q_SOURCE_DECODED: the DequantizeLinear or Cast; else NULL */
};

/* All convolutions in file order, bodies and functions included; the array is in the model's arena.
 * I4Q_MODEL: one without a weight, or with one that nothing defines. */
bool i4q_convs_find(struct i4q_model *model, struct i4q_conv **convs, size_t *count,
                    struct i4q_error *error) I4Q_MUST_CHECK;

/* The dense tensor that a value is stored as: its initializer, or that of the Constant node that makes it; or
 * NULL. */
Onnx__TensorProto *i4q_value_tensor(const struct i4q_value *value);

/* How messages call a node: its name, or its first output where it has none. */
const char *i4q_node_label(const Onnx__NodeProto *node);

#endif

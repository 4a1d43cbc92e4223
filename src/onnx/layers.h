// SPDX-License-Identifier: Apache-2.0
/* The convolutions of a model, and other operators with a weight, and where each gets it from. Facts only:
 * what follows from them is decided by the plan. */
#ifndef INT4Q_ONNX_LAYERS_H
#define INT4Q_ONNX_LAYERS_H

#include "onnx/model.h"

/* An operator with a weight, a row of the table of them. */
struct i4q_conv_op {
    const char *domain; /* NULL: the standard one, or any other where it is foreign */
    const char *op_type;
    size_t weight_input;  /* which of its inputs */
    size_t scale_input;   /* of integer weights: theirs; 0: none */
    size_t zero_input;    /* and their zero points; 0: none */
    size_t channel_axis;  /* of the weight: its output channels; of Gemm without transposing */
    size_t least_rank;    /* of the weight */
    size_t greatest_rank; /* the same; 0: any */
    const char
        *transposed; /* attribute that, when not 0, moves the channels to the other of two axes; or NULL */
    bool is_factor;  /* of a product that may be one of two activations: a weight only if it is constant */
    bool integer;    /* takes integer weights only, hence is quantized already */
    bool is_foreign; /* a Conv of other operator sets, which have its weight in an order of their own */
    bool is_conv;    /* Conv itself: rows of kernels, which blocks and calibration can be used with */
};

/* Sets of operators: bit i stands for row i of the table. Conv itself, those that are told of beside `ops`
 * though no weight of theirs is quantized (they take integers, or are foreign Convs), all. */
unsigned i4q_ops_conv(void);
unsigned i4q_ops_beside(unsigned ops);
unsigned i4q_ops_all(void);
bool i4q_ops_have(unsigned ops, const struct i4q_conv_op *op);

/* The operators that --op-types may name: word `index`, NULL behind the last; and the bits of one, 0: none.
 */
const char *i4q_conv_op_word(size_t index);
unsigned i4q_conv_op_bits(const char *op_type);

/* What stands at the source of a weight, behind any number of Identity nodes. */
enum i4q_source {
    I4Q_SOURCE_STORED,   /* an initializer, or a Constant node with a dense tensor */
    I4Q_SOURCE_SPARSE,   /* a sparse initializer, or a Constant node with a sparse tensor */
    I4Q_SOURCE_INPUT,    /* a graph input without a value, or a formal input */
    I4Q_SOURCE_DECODED,  /* integers that nodes decode, in one of the forms */
    I4Q_SOURCE_COMPUTED, /* other nodes */
};

struct i4q_origin; /* forms/origin.h */

struct i4q_conv {
    const struct i4q_node *node;
    const struct i4q_conv_op *op;
    size_t channel_axis; /* of the weight */
    enum i4q_source source;
    struct i4q_value *weight;       /* the value at the source, behind Identity nodes; never NULL */
    Onnx__TensorProto *tensor;      /* I4Q_SOURCE_STORED: its elements; else NULL */
    const struct i4q_node *decoder; /* I4Q_SOURCE_DECODED: the DequantizeLinear or Cast; else NULL */
    struct i4q_origin *origin;      /* where its weight has integers from already; NULL: it has none */
};

/* All nodes of the operators `ops` in file order, bodies and functions included (but for the function of an
 * operator of the table); the array is in the model's arena. What nodes make of stored integers counts as
 * computed here: see forms/convs.h. I4Q_MODEL: one without a weight, or with one that nothing defines. */
bool i4q_layers_find(struct i4q_model *model, unsigned ops, struct i4q_conv **convs, size_t *count,
                     struct i4q_error *error) I4Q_MUST_CHECK;

/* Whether the node is one of `ops` and takes input `input` as its weight, with its channels along `axis`. */
bool i4q_conv_reads_weight(unsigned ops, const Onnx__NodeProto *node, size_t input, size_t axis);

/* What Identity nodes, however many, copy to the value: the value at their source. */
struct i4q_value *i4q_value_behind_identities(struct i4q_value *value);

/* How reports call the operator: com.microsoft::FusedConv where it is foreign, else its type. */
const char *i4q_conv_op_name(const struct i4q_conv *conv, char *buffer, size_t size);

#endif

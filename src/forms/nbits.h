// SPDX-License-Identifier: Apache-2.0
/*
 * com.int4q::ConvNBits: a Conv, its bias and the activation behind it as one node that computes from the
 * codes, with a function body for runtimes that do not know it. docs/conv_nbits.md specifies both. This is
 * what the form (form.h) is made of, and what others need who meet such nodes.
 */
#ifndef INT4Q_FORMS_NBITS_H
#define INT4Q_FORMS_NBITS_H

#include "onnx/fusion.h"

extern const char i4q_nbits_domain[], i4q_nbits_op[];

enum i4q_nbits_input {
    I4Q_NBITS_X,
    I4Q_NBITS_CODES,
    I4Q_NBITS_SCALES,
    I4Q_NBITS_ZERO_POINTS,
    I4Q_NBITS_BIAS,
    I4Q_NBITS_INPUTS
};

bool i4q_nbits_is(const Onnx__NodeProto *node);

/* What the node was made of, as i4q_fusion_find() has it, but for the nodes that went into it. False:
 * attributes that are not those of the operator. */
bool i4q_nbits_read(const struct i4q_node *node, struct i4q_fusion *fusion);

/* The function body, for a model of this opset. Bit i of `activations`: nodes of the model have activation i;
 * at least one is set. In the model's arena; NULL when memory runs out. */
Onnx__FunctionProto *i4q_nbits_function(struct i4q_model *model, int64_t opset, unsigned activations);

/* Takes every such node of the model apart: DequantizeLinear, (Reshape,) Conv and the activation stand in its
 * place, the function goes, and the model is indexed anew. A weight is called W where its codes are called
 * W_quantized. Nodes that cannot be read stay. */
bool i4q_nbits_expand(struct i4q_model *model, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

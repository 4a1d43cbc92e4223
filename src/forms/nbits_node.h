// SPDX-License-Identifier: Apache-2.0
/*
 * com.int4q::ConvNBits: a Conv, its bias and the activation behind it as one node that computes from the
 * codes, with a function body for runtimes that do not know it. docs/conv_nbits.md specifies both. This is
 * the node, as it is met in a model.
 */
#ifndef INT4Q_FORMS_NBITS_NODE_H
#define INT4Q_FORMS_NBITS_NODE_H

#include "onnx/fusion.h"
#include "quantize/format.h"
#include "quantize/range.h"

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

/* The format whose stream of bytes the node reads; NULL: its codes are elements of their own, or there are
 * none such. */
const struct i4q_format *i4q_nbits_stream(const struct i4q_node *node);

/* What the node was made of, as i4q_fusion_find() has it, but for the nodes that went into it. False:
 * attributes that are not those of the operator. */
bool i4q_nbits_read(const struct i4q_node *node, struct i4q_fusion *fusion);

/* The range of 8 bits that the node has for what it reads, as it stands there: the scale may be no positive
 * number, and a zero point that is no code is -1. False: it finds one on each run, or computes in float. */
bool i4q_nbits_input_range(const struct i4q_node *node, struct i4q_range *range);

#endif

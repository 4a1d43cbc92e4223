// SPDX-License-Identifier: Apache-2.0
/* Nodes of com.int4q::ConvNBits, taken apart into what they were made of. */
#ifndef INT4Q_FORMS_NBITS_EXPAND_H
#define INT4Q_FORMS_NBITS_EXPAND_H

#include "onnx/model.h"
#include "quantize/format.h"

/* Elements that were made of a stream of codes. */
struct i4q_nbits_spread {
    const Onnx__TensorProto *tensor;
    const struct i4q_format *format; /* of the stream */
};

/* Takes every such node of the model apart: DequantizeLinear, (Reshape,) Conv and the activation stand in its
 * place, the function goes, and the model is indexed anew. A weight is called W where its codes are called
 * W_quantized or W_packed; codes in bytes become elements of their own, and `spreads` tells what they were
 * (struct i4q_nbits_spread, by name; another graph may have the name too). Nodes that cannot be read stay. */
bool i4q_nbits_expand(struct i4q_model *model, struct i4q_table *spreads,
                      struct i4q_error *error) I4Q_MUST_CHECK;

#endif

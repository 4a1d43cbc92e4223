// SPDX-License-Identifier: Apache-2.0
/* Nodes of com.int4q::ConvNBits, taken apart into what they were made of. */
#ifndef INT4Q_FORMS_NBITS_EXPAND_H
#define INT4Q_FORMS_NBITS_EXPAND_H

#include "onnx/model.h"

/* Takes every such node of the model apart: DequantizeLinear, (Reshape,) Conv and the activation stand in its
 * place, the function goes, and the model is indexed anew. A weight is called W where its codes are called
 * W_quantized or
 * W_packed; codes in bytes become elements of their own. Nodes that cannot be read stay. */
bool i4q_nbits_expand(struct i4q_model *model, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

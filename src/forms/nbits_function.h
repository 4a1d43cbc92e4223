// SPDX-License-Identifier: Apache-2.0
/* What com.int4q::ConvNBits is to runtimes that do not know it. */
#ifndef INT4Q_FORMS_NBITS_FUNCTION_H
#define INT4Q_FORMS_NBITS_FUNCTION_H

#include "onnx/fusion.h"
#include "onnx/model.h"

enum { I4Q_NBITS_STREAMS = 1 << I4Q_ACTIVATIONS };

/* The function body, for a model of this opset. Bit i of `features`: nodes of the model have activation i, at
 * least one is set; I4Q_NBITS_STREAMS: some have their codes in bytes. In the model's arena; NULL when memory
 * runs out. */
Onnx__FunctionProto *i4q_nbits_function(struct i4q_model *model, int64_t opset, unsigned features);

#endif

// SPDX-License-Identifier: Apache-2.0
/* What stands for a quantized weight in the file: initializers, and the nodes that decode them, in one of the
 * forms. The last node's output has the weight's name, so that whatever read the weight reads on. */
#ifndef INT4Q_FORMS_EMIT_H
#define INT4Q_FORMS_EMIT_H

#include "forms/weight.h"
#include "onnx/edit.h"

struct i4q_decoder {
    struct i4q_list tensors, nodes;
};

/* Constants that the packed-u8 decoders of one graph share; zeroed before the first. */
struct i4q_decoder_shared {
    const char *four, *axis, *flat, *zero[2]; /* names; zero: 8 as FLOAT and as FLOAT16 */
};

/* What a form needs of the model. 0: nothing. */
int64_t i4q_decoder_opset(const struct i4q_weight *weight, bool microsoft);
int64_t i4q_decoder_ir_version(const struct i4q_weight *weight, bool microsoft);

/* Bytes of payload, scale and zero point. */
size_t i4q_decoder_bytes(const struct i4q_weight *weight);

/* Makes the decoder of a weight whose job is done. `microsoft`: DequantizeLinear in ONNX Runtime's domain.
 * `opset`: of the model as it will be written. False only when memory runs out. */
bool i4q_decoder_make(struct i4q_model *model, const struct i4q_weight *weight, bool microsoft, int64_t opset,
                      struct i4q_decoder_shared *shared, struct i4q_decoder *decoder) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* How the weight of a Conv is stored in the file: read off the model, judged by nobody. Touches no payload
 * but that of shapes. */
#ifndef INT4Q_FORMS_FORM_H
#define INT4Q_FORMS_FORM_H

#include "onnx/layers.h"
#include "onnx/tensor.h"

enum i4q_granularity { I4Q_NO_SCALE, I4Q_PER_TENSOR, I4Q_PER_CHANNEL, I4Q_BLOCK };

struct i4q_storage {
    const char *name; /* int4, uint4, int8, uint8, packed-u8, float32, float16, bfloat16, float64 or other */
    bool is_float;    /* one of the float kinds */
    bool is_dequantize; /* decoded by DequantizeLinear, whose rules the shapes must follow */

    /* The weight as the Conv sees it; dims NULL and count 0 when the file does not tell. */
    const int64_t *dims;
    size_t rank, count;

    /* What is stored for it; NULL where there is no such thing. Codes of a float weight are the weight
     * itself. */
    const Onnx__TensorProto *codes, *scale, *zero_point;
    const Onnx__TensorProto *unsound; /* one of them that was left out, since it has no possible shape */
    size_t bytes;                     /* payloads of codes, scale and zero point together */

    enum i4q_granularity granularity;
    int64_t axis;  /* of the codes, along which scales differ */
    int64_t block; /* elements that share a scale; 0 unless I4Q_BLOCK */
};

/* Never fails: what cannot be told is left out. */
void i4q_storage_describe(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage);

/* "per-tensor", ...; NULL for I4Q_NO_SCALE. */
const char *i4q_granularity_name(enum i4q_granularity granularity);

#endif

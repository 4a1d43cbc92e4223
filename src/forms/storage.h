// SPDX-License-Identifier: Apache-2.0
/* How the weight of a Conv is stored: read off the model, judged by nobody. */
#ifndef INT4Q_FORMS_STORAGE_H
#define INT4Q_FORMS_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnx.pb-c.h"

struct i4q_origin;

enum i4q_granularity { I4Q_NO_SCALE, I4Q_PER_TENSOR, I4Q_PER_CHANNEL, I4Q_BLOCK };

struct i4q_storage {
    const char *name; /* int4, uint4, int8, uint8, packed-u8, float32, float16, bfloat16, float64 or other */
    bool is_float;    /* one of the float kinds */
    unsigned packed_bits; /* of the codes that the elements of `codes`, bytes, are a stream of; 0: they are
                             codes */
    unsigned spread_bits; /* of the codes, where the file has them in fewer bits than `codes` has; else 0 */
    bool is_dequantize;   /* decoded by DequantizeLinear, whose rules the shapes must follow */

    /* The weight as the Conv sees it; dims NULL and count 0 when the file does not tell. */
    const int64_t *dims;
    size_t rank, count;

    /* What is stored for it; NULL where there is no such thing. Codes of a float weight are the weight
     * itself. */
    const Onnx__TensorProto *codes, *scale, *zero_point;
    bool widened;                     /* scales are cast to FLOAT, whatever they are stored as */
    const Onnx__TensorProto *unsound; /* one of them that was left out, since it has no possible shape */
    size_t bytes;                     /* payloads of codes, scale and zero point together */

    enum i4q_granularity granularity;
    int64_t axis;  /* of the codes, along which scales differ */
    int64_t block; /* elements that share a scale; 0 unless I4Q_BLOCK */

    /* Where it stands for integers already, see origin.h; NULL: it is stored as these, or as plain floats. */
    const struct i4q_origin *origin;

    const char *activation; /* fused into the operator, see onnx/fusion.h; NULL: none is */
};

/* One of which nothing is known: its name is "other". */
struct i4q_storage i4q_storage_unknown(void);

/* Sets what the type of the stored elements (TensorProto.DataType) tells. */
void i4q_storage_set_type(struct i4q_storage *storage, int32_t type);

/* "per-tensor", ...; NULL for I4Q_NO_SCALE. */
const char *i4q_granularity_name(enum i4q_granularity granularity);

#endif

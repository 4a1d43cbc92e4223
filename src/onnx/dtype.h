// SPDX-License-Identifier: Apache-2.0
/* The element types of tensors, a row each: all that ONNX has up to IR version 14. */
#ifndef INT4Q_ONNX_DTYPE_H
#define INT4Q_ONNX_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnx.pb-c.h"

#define I4Q_TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

/* What a number of the type is. */
enum i4q_dtype_kind {
    I4Q_DTYPE_FLOAT,    /* IEEE 754, or the upper half of a binary32 */
    I4Q_DTYPE_SIGNED,   /* two's complement */
    I4Q_DTYPE_UNSIGNED, /* and BOOL */
    I4Q_DTYPE_OTHER,    /* small floats with rules of their own, complex numbers, strings */
};

/* The repeated field that holds elements when raw_data does not. */
enum i4q_dtype_field {
    I4Q_FLOAT_DATA,
    I4Q_INT32_DATA,
    I4Q_INT64_DATA,
    I4Q_DOUBLE_DATA,
    I4Q_UINT64_DATA,
    I4Q_STRING_DATA,
    I4Q_DTYPE_FIELDS,
};

struct i4q_dtype {
    int32_t type;     /* TensorProto.DataType */
    const char *name; /* in the schema: INT4 */
    const char *word; /* as weights are said to be stored: int4; NULL: other */
    unsigned bits; /* an element; those below 8 are packed as one stream, see base/bits.h. 0: no fixed size */
    enum i4q_dtype_kind kind;
    enum i4q_dtype_field field;

    /* The least versions that have it; 0: those that had it from the beginning. */
    int64_t ir_version;
    int64_t opset;      /* of ai.onnx, for Cast */
    int64_t dequantize; /* of ai.onnx, for DequantizeLinear, as codes or as scale; 0: it never takes it */
};

/* The row of a type; NULL for a number that ONNX does not know. */
const struct i4q_dtype *i4q_dtype_find(int32_t type);

/* Bytes of n elements in raw_data; 0 without a fixed size. n * 16 must not overflow. */
size_t i4q_dtype_bytes(const struct i4q_dtype *dtype, size_t n);

#endif

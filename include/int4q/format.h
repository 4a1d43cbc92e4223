// SPDX-License-Identifier: Apache-2.0
/* The storage formats of quantized weights, one row of a table each. Adding a format is adding a row. */
#ifndef INT4Q_FORMAT_H
#define INT4Q_FORMAT_H

#include <stddef.h>
#include <stdint.h>

struct i4q_format {
    const char *name;   /* as in --format and in the reports */
    int32_t onnx_type;  /* TensorProto.DataType of the codes */
    unsigned bits;      /* a code */
    int qmax;           /* codes span -qmax..qmax around `zero` */
    int zero;           /* the zero point, also the code of 0 */
    int64_t opset;      /* least ai.onnx version whose DequantizeLinear takes the type */
    int64_t ir_version; /* least IR version that has the type */
};

extern const struct i4q_format i4q_format_int4;

/* Bytes that n codes occupy: nibbles are packed over the whole tensor, without padding between rows. */
size_t i4q_format_bytes(const struct i4q_format *format, size_t n);

#endif

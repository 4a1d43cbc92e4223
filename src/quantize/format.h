// SPDX-License-Identifier: Apache-2.0
/* The storage formats of quantized weights, one row of a table each. Adding a format is adding a row. */
#ifndef INT4Q_QUANTIZE_FORMAT_H
#define INT4Q_QUANTIZE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct i4q_format {
    const char *name;       /* as in --format and in the reports */
    int32_t onnx_type;      /* TensorProto.DataType of what is stored */
    unsigned bits;          /* a code; two of 4 bits share a byte */
    int qmax;               /* codes span -qmax..qmax around `zero` */
    int zero;               /* the zero point of symmetric codes, also the code of 0 */
    int code_min, code_max; /* what the stored type can hold */
    bool packed;            /* bytes of two codes that standard operators take apart */
    int64_t
        opset; /* least ai.onnx version that can decode it by DequantizeLinear; `packed`: by its operators */
    int64_t opset_half; /* the same with FLOAT16 scales */
    int64_t opset_cast; /* the same by Cast and Mul; 0: any */
    int64_t ir_version; /* least IR version that has the type */
};

/* The rows; ends with one whose name is NULL. The first is the default. */
extern const struct i4q_format i4q_formats[];

/* The format called `name`, or NULL. */
const struct i4q_format *i4q_format_find(const char *name);

/* Bytes that n codes occupy: nibbles are packed over the whole tensor, without padding between rows. */
size_t i4q_format_bytes(const struct i4q_format *format, size_t n);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "quantize/format.h"

#include "base/checked.h"

#include "onnx.pb-c.h"

#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

const struct i4q_format i4q_formats[] = {
    {.name = "int4",
     .onnx_type = TYPE(INT4),
     .bits = 4,
     .qmax = 7,
     .code_min = -8,
     .code_max = 7,
     .zero = 0,
     .opset = 21,
     .opset_half = 21,
     .opset_cast = 21,
     .ir_version = 10},
    {.name = "uint4",
     .onnx_type = TYPE(UINT4),
     .bits = 4,
     .qmax = 7,
     .code_min = 0,
     .code_max = 15,
     .zero = 8,
     .opset = 21,
     .opset_half = 21,
     .opset_cast = 21,
     .ir_version = 10},
    {.name = "int8",
     .onnx_type = TYPE(INT8),
     .bits = 8,
     .qmax = 127,
     .code_min = -128,
     .code_max = 127,
     .zero = 0,
     .opset = 13,
     .opset_half = 19},
    {.name = "packed-u8",
     .onnx_type = TYPE(UINT8),
     .bits = 4,
     .qmax = 7,
     .code_min = 0,
     .code_max = 15,
     .zero = 8,
     .packed = true,
     .opset = 11,
     .opset_half = 11,
     .opset_cast = 11},
    {.name = NULL},
};

const struct i4q_format *i4q_format_find(const char *name)
{
    for (const struct i4q_format *format = i4q_formats; format->name; format++)
        if (strcmp(format->name, name) == 0)
            return format;
    return NULL;
}

size_t i4q_format_bytes(const struct i4q_format *format, size_t n)
{
    return format->bits == 4 ? i4q_div_up(n, 2) : n;
}

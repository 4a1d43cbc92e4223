// SPDX-License-Identifier: Apache-2.0
#include "int4q/format.h"

#include "int4q/checked.h"

#include "onnx.pb-c.h"

const struct i4q_format i4q_format_int4 = {
    .name = "int4",
    .onnx_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT4,
    .bits = 4,
    .qmax = 7,
    .zero = 0,
    .opset = 21,
    .ir_version = 10,
};

size_t i4q_format_bytes(const struct i4q_format *format, size_t n)
{
    return format->bits == 4 ? i4q_div_up(n, 2) : n;
}

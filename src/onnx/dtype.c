// SPDX-License-Identifier: Apache-2.0
#include "onnx/dtype.h"

#include "base/bits.h"

#define FLOATING  I4Q_DTYPE_FLOAT
#define SIGNED    I4Q_DTYPE_SIGNED
#define UNSIGNED  I4Q_DTYPE_UNSIGNED
#define OTHER     I4Q_DTYPE_OTHER
#define ROW(name) [I4Q_TYPE(name)] = {I4Q_TYPE(name), #name

// clang-format off
static const struct i4q_dtype dtypes[] = {
    /*                   word      bits kind      field         IR  Cast DequantizeLinear */
    ROW(FLOAT),          "float32",  32, FLOATING, I4Q_FLOAT_DATA,   0,  0, 10},
    ROW(UINT8),          "uint8",     8, UNSIGNED, I4Q_INT32_DATA,   0,  0, 10},
    ROW(INT8),           "int8",      8, SIGNED,   I4Q_INT32_DATA,   0,  0, 10},
    ROW(UINT16),         NULL,       16, UNSIGNED, I4Q_INT32_DATA,   0,  0, 21},
    ROW(INT16),          NULL,       16, SIGNED,   I4Q_INT32_DATA,   0,  0, 21},
    ROW(INT32),          NULL,       32, SIGNED,   I4Q_INT32_DATA,   0,  0, 10},
    ROW(INT64),          NULL,       64, SIGNED,   I4Q_INT64_DATA,   0,  0,  0},
    ROW(STRING),         NULL,        0, OTHER,    I4Q_STRING_DATA,  0,  0,  0},
    ROW(BOOL),           NULL,        8, UNSIGNED, I4Q_INT32_DATA,   0,  0,  0},
    ROW(FLOAT16),        "float16",  16, FLOATING, I4Q_INT32_DATA,   0,  0, 19},
    ROW(DOUBLE),         "float64",  64, FLOATING, I4Q_DOUBLE_DATA,  0,  0,  0},
    ROW(UINT32),         NULL,       32, UNSIGNED, I4Q_UINT64_DATA,  0,  0,  0},
    ROW(UINT64),         NULL,       64, UNSIGNED, I4Q_UINT64_DATA,  0,  0,  0},
    ROW(COMPLEX64),      NULL,       64, OTHER,    I4Q_FLOAT_DATA,   0,  0,  0},
    ROW(COMPLEX128),     NULL,      128, OTHER,    I4Q_DOUBLE_DATA,  0,  0,  0},
    ROW(BFLOAT16),       "bfloat16", 16, FLOATING, I4Q_INT32_DATA,   0, 13, 19},
    ROW(FLOAT8E4M3FN),   NULL,        8, OTHER,    I4Q_INT32_DATA,   9, 19, 19},
    ROW(FLOAT8E4M3FNUZ), NULL,        8, OTHER,    I4Q_INT32_DATA,   9, 19, 19},
    ROW(FLOAT8E5M2),     NULL,        8, OTHER,    I4Q_INT32_DATA,   9, 19, 19},
    ROW(FLOAT8E5M2FNUZ), NULL,        8, OTHER,    I4Q_INT32_DATA,   9, 19, 19},
    ROW(UINT4),          "uint4",     4, UNSIGNED, I4Q_INT32_DATA,  10, 21, 21},
    ROW(INT4),           "int4",      4, SIGNED,   I4Q_INT32_DATA,  10, 21, 21},
    ROW(FLOAT4E2M1),     NULL,        4, OTHER,    I4Q_INT32_DATA,  11, 23, 23},
    ROW(FLOAT8E8M0),     NULL,        8, OTHER,    I4Q_INT32_DATA,  12, 24, 24},
    ROW(UINT2),          "uint2",     2, UNSIGNED, I4Q_INT32_DATA,  13, 25, 25},
    ROW(INT2),           "int2",      2, SIGNED,   I4Q_INT32_DATA,  13, 25, 25},
    ROW(FLOAT6E2M3),     NULL,        6, OTHER,    I4Q_INT32_DATA,  14, 28, 28},
    ROW(FLOAT6E3M2),     NULL,        6, OTHER,    I4Q_INT32_DATA,  14, 28, 28},
};
// clang-format on

const struct i4q_dtype *i4q_dtype_find(int32_t type)
{
    bool known = type >= 0 && (size_t)type < sizeof dtypes / sizeof *dtypes && dtypes[type].name;
    return known ? &dtypes[type] : NULL;
}

size_t i4q_dtype_bytes(const struct i4q_dtype *dtype, size_t n)
{
    return dtype->bits < 8 ? i4q_bits_bytes(n, dtype->bits) : n * (dtype->bits / 8);
}

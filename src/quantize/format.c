// SPDX-License-Identifier: Apache-2.0
#include "quantize/format.h"

#include "base/bits.h"
#include "onnx/dtype.h"

#include <string.h>

// clang-format off
const struct i4q_format i4q_formats[] = {
    /*                         bits  lowest highest zero qmax packed floats fine */
    {"int4",      I4Q_TYPE(INT4),  4,   -8,      7,   0,   7, false, false, false},
    {"uint4",     I4Q_TYPE(UINT4), 4,    0,     15,   8,   7, false, false, false},
    {"int8",      I4Q_TYPE(INT8),  8, -128,    127,   0, 127, false, false, true},
    {"packed-u8", I4Q_TYPE(UINT8), 4,    0,     15,   8,   7, true,  false, false},
    {"packed2",   I4Q_TYPE(UINT8), 2,    0,      3,   2,   1, true,  false, false},
    {"packed3",   I4Q_TYPE(UINT8), 3,    0,      7,   4,   3, true,  false, false},
    {"packed5",   I4Q_TYPE(UINT8), 5,    0,     31,  16,  15, true,  false, false},
    {"packed6",   I4Q_TYPE(UINT8), 6,    0,     63,  32,  31, true,  false, false},
    {"int2",      I4Q_TYPE(INT2),  2,   -2,      1,   0,   1, false, false, false},
    {"uint2",     I4Q_TYPE(UINT2), 2,    0,      3,   2,   1, false, false, false},
    {"qonnx",     I4Q_TYPE(FLOAT), 4,   -8,      7,   0,   7, false, true,  false},
    {"qonnx2",    I4Q_TYPE(FLOAT), 2,   -2,      1,   0,   1, false, true,  false},
    {"qonnx3",    I4Q_TYPE(FLOAT), 3,   -4,      3,   0,   3, false, true,  false},
    {"qonnx5",    I4Q_TYPE(FLOAT), 5,  -16,     15,   0,  15, false, true,  false},
    {"qonnx6",    I4Q_TYPE(FLOAT), 6,  -32,     31,   0,  31, false, true,  false},
    {"qonnx8",    I4Q_TYPE(FLOAT), 8, -128,    127,   0, 127, false, true,  true},
    {.name = NULL},
};
// clang-format on

const struct i4q_format i4q_format_uint8 = {
    .name = "uint8",
    .type = I4Q_TYPE(UINT8),
    .bits = 8,
    .code_max = 255,
    .zero = 128,
    .qmax = 127,
    .fine = true,
};

/* Other names that users may give. */
static const struct {
    const char *name, *format;
} aliases[] = {{"packed4", "packed-u8"}, {"qonnx4", "qonnx"}};

enum { ROWS = sizeof i4q_formats / sizeof *i4q_formats - 1, ALIASES = sizeof aliases / sizeof *aliases };

const char *i4q_format_word(size_t index)
{
    return index < ROWS             ? i4q_formats[index].name
           : index - ROWS < ALIASES ? aliases[index - ROWS].name
                                    : NULL;
}

const char *i4q_format_keep_word(size_t index)
{
    if (index-- == 0)
        return "float";
    for (const struct i4q_format *format = i4q_formats; format->name; format++)
        if (format->fine && !format->floats && index-- == 0)
            return format->name;
    return NULL;
}

const struct i4q_format *i4q_format_find(const char *name)
{
    for (const struct i4q_format *format = i4q_formats; format->name; format++)
        if (strcmp(format->name, name) == 0)
            return format;
    for (size_t i = 0; i < ALIASES; i++)
        if (strcmp(aliases[i].name, name) == 0)
            return i4q_format_find(aliases[i].format);
    return NULL;
}

const struct i4q_format *i4q_format_packed(unsigned bits)
{
    for (const struct i4q_format *format = i4q_formats; format->name; format++)
        if (format->packed && format->bits == bits)
            return format;
    return NULL;
}

const struct i4q_format *i4q_format_of_kind(const struct i4q_format *format, const struct i4q_format *other)
{
    const struct i4q_format *row = i4q_formats;
    if (format->floats == other->floats)
        return format;
    while (row->name && (row->floats != other->floats || row->bits != format->bits))
        row++;
    return row->name ? row : format;
}

bool i4q_format_is_integers(const struct i4q_format *format)
{
    return !format->packed && !format->floats;
}

size_t i4q_format_bytes(const struct i4q_format *format, size_t n)
{
    return i4q_bits_bytes(n, format->bits);
}

int i4q_format_load(const struct i4q_format *format, const uint8_t *codes, size_t i)
{
    unsigned code = i4q_bits_load(codes, i, format->bits);
    return format->code_min < 0 ? i4q_bits_signed(code, format->bits) : (int)code;
}

void i4q_format_store(const struct i4q_format *format, uint8_t *codes, size_t i, int code)
{
    i4q_bits_store(codes, i, format->bits, (unsigned)code);
}

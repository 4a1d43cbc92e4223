// SPDX-License-Identifier: Apache-2.0
#include "forms/numbers.h"

#include "base/bits.h"
#include "base/half.h"
#include "onnx/tensor.h"

#include <string.h>

/* Whether codes of the type fit int16_t, or its numbers are floats of the usual kinds. */
static bool is_readable(const struct i4q_dtype *type)
{
    static const unsigned most[] = {
        [I4Q_DTYPE_FLOAT] = 64, [I4Q_DTYPE_SIGNED] = 16, [I4Q_DTYPE_UNSIGNED] = 15, [I4Q_DTYPE_OTHER] = 0};
    return type && type->bits && type->bits <= most[type->kind];
}

bool i4q_numbers_are_floats(const struct i4q_numbers *numbers)
{
    return numbers->type->kind == I4Q_DTYPE_FLOAT;
}

int i4q_numbers_lowest(const struct i4q_numbers *numbers)
{
    return numbers->type->kind == I4Q_DTYPE_SIGNED ? -(1 << (numbers->bits - 1)) : 0;
}

int i4q_numbers_centre(const struct i4q_numbers *numbers)
{
    return i4q_numbers_lowest(numbers) + (1 << (numbers->bits - 1));
}

static double float_number(const struct i4q_dtype *type, const uint8_t *data, size_t i)
{
    double wide;
    uint32_t bits;
    uint16_t upper;
    float value;
    switch (type->type) {
    case I4Q_TYPE(DOUBLE):
        memcpy(&wide, data + i * sizeof wide, sizeof wide);
        return wide;
    case I4Q_TYPE(BFLOAT16): /* the upper half of a FLOAT */
        memcpy(&upper, data + i * sizeof upper, sizeof upper);
        bits = (uint32_t)upper << 16;
        memcpy(&value, &bits, sizeof value);
        return value;
    default:
        return i4q_real_load(data, type->type == I4Q_TYPE(FLOAT16), i);
    }
}

static int code_number(const struct i4q_numbers *numbers, size_t i)
{
    const uint8_t *data = numbers->payload.data;
    int16_t wide;
    if (numbers->bits == 8 * sizeof wide) {
        memcpy(&wide, data + i * sizeof wide, sizeof wide);
        return wide;
    }
    unsigned code = i4q_bits_load(data, i, numbers->bits);
    return numbers->type->kind == I4Q_DTYPE_SIGNED ? i4q_bits_signed(code, numbers->bits) : (int)code;
}

double i4q_number(const struct i4q_numbers *numbers, size_t i)
{
    return i4q_numbers_are_floats(numbers) ? float_number(numbers->type, numbers->payload.data, i)
                                           : code_number(numbers, i);
}

bool i4q_numbers_open(struct i4q_arena *arena, const Onnx__TensorProto *proto, struct i4q_numbers *numbers,
                      struct i4q_error *error)
{
    struct i4q_tensor tensor;
    *numbers = (struct i4q_numbers){0};
    const struct i4q_dtype *type = proto ? i4q_dtype_find(proto->data_type) : NULL;
    if (!is_readable(type))
        return true;
    if (!i4q_tensor_describe(proto, &tensor, error) ||
        !i4q_tensor_payload(arena, proto, &numbers->payload, error))
        return false;
    numbers->type = type;
    numbers->bits = type->bits;
    numbers->count = tensor.count;
    return true;
}

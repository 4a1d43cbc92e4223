// SPDX-License-Identifier: Apache-2.0
#include "onnx/tensor.h"

#include "base/checked.h"
#include "onnx/model.h"

#include <inttypes.h>
#include <string.h>

/* The repeated field that holds elements when raw_data does not. */
enum field { FLOAT_DATA, INT32_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA, STRING_DATA, FIELDS };

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static const struct type_row {
    int32_t type;
    const char *name;
    unsigned bits; /* an element */
    enum field field;
} type_table[] = {
    {TYPE(FLOAT), "FLOAT", 32, FLOAT_DATA},
    {TYPE(UINT8), "UINT8", 8, INT32_DATA},
    {TYPE(INT8), "INT8", 8, INT32_DATA},
    {TYPE(UINT16), "UINT16", 16, INT32_DATA},
    {TYPE(INT16), "INT16", 16, INT32_DATA},
    {TYPE(INT32), "INT32", 32, INT32_DATA},
    {TYPE(INT64), "INT64", 64, INT64_DATA},
    {TYPE(BOOL), "BOOL", 8, INT32_DATA},
    {TYPE(FLOAT16), "FLOAT16", 16, INT32_DATA},
    {TYPE(DOUBLE), "DOUBLE", 64, DOUBLE_DATA},
    {TYPE(BFLOAT16), "BFLOAT16", 16, INT32_DATA},
    {TYPE(UINT4), "UINT4", 4, INT32_DATA},
    {TYPE(INT4), "INT4", 4, INT32_DATA},
    {TYPE(UINT2), "UINT2", 2, INT32_DATA},
    {TYPE(INT2), "INT2", 2, INT32_DATA},
    {TYPE(FLOAT4E2M1), "FLOAT4E2M1", 4, INT32_DATA},
    {TYPE(FLOAT8E4M3FN), "FLOAT8E4M3FN", 8, INT32_DATA},
    {TYPE(FLOAT8E4M3FNUZ), "FLOAT8E4M3FNUZ", 8, INT32_DATA},
    {TYPE(FLOAT8E5M2), "FLOAT8E5M2", 8, INT32_DATA},
    {TYPE(FLOAT8E5M2FNUZ), "FLOAT8E5M2FNUZ", 8, INT32_DATA},
    {TYPE(FLOAT8E8M0), "FLOAT8E8M0", 8, INT32_DATA},
};

static const struct type_row *find_type(int32_t type)
{
    for (size_t i = 0; i < sizeof type_table / sizeof *type_table; i++)
        if (type_table[i].type == type)
            return &type_table[i];
    return NULL;
}

/* ---- shape */

static size_t payload_bytes(const struct type_row *row, size_t count)
{
    return row->bits < 8 ? i4q_div_up(count, 8 / row->bits) : count * (row->bits / 8);
}

bool i4q_tensor_describe(const Onnx__TensorProto *proto, struct i4q_tensor *tensor, struct i4q_error *error)
{
    const char *name = i4q_text(proto->name);
    size_t count = 1, bytes;
    bool empty = false;
    for (size_t i = 0; i < proto->n_dims; i++) {
        int64_t dim = proto->dims[i];
        if (dim < 0)
            return i4q_fail(error, I4Q_MODEL, "tensor '%s': dimension %zu is %" PRId64, name, i, dim);
        empty |= dim == 0;
        if (!empty && !i4q_mul_size(count, (size_t)dim, &count))
            return i4q_fail(error, I4Q_MODEL, "tensor '%s': its dimensions overflow", name);
    }
    count = empty ? 0 : count;
    /* 8 bytes are the widest element. */
    if (!i4q_mul_size(count, 8, &bytes))
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': its dimensions overflow", name);
    const struct type_row *row = find_type(proto->data_type);
    *tensor = (struct i4q_tensor){.type = proto->data_type,
                                  .rank = proto->n_dims,
                                  .dims = proto->dims,
                                  .count = count,
                                  .bytes = row ? payload_bytes(row, count) : 0};
    return true;
}

size_t i4q_tensor_size(const Onnx__TensorProto *proto)
{
    struct i4q_tensor tensor;
    struct i4q_error ignored = {0};
    return i4q_tensor_describe(proto, &tensor, &ignored) ? tensor.bytes : 0;
}

/* ---- elements */

static size_t field_count(const Onnx__TensorProto *proto, enum field field)
{
    const size_t counts[FIELDS] = {
        [FLOAT_DATA] = proto->n_float_data,   [INT32_DATA] = proto->n_int32_data,
        [INT64_DATA] = proto->n_int64_data,   [DOUBLE_DATA] = proto->n_double_data,
        [UINT64_DATA] = proto->n_uint64_data, [STRING_DATA] = proto->n_string_data,
    };
    return counts[field];
}

/* How many of the fields that can hold elements do hold some. */
static int fields_in_use(const Onnx__TensorProto *proto)
{
    int used = proto->has_raw_data && proto->raw_data.len > 0;
    for (enum field field = 0; field < FIELDS; field++)
        used += field_count(proto, field) > 0;
    return used;
}

/* int32_data holds an element of up to 32 bits, or a byte of several smaller ones, in the low bits of each
 * entry. */
static bool narrow(struct i4q_arena *arena, const Onnx__TensorProto *proto, size_t width,
                   struct i4q_view *payload, struct i4q_error *error)
{
    uint8_t *bytes = i4q_arena_alloc(arena, proto->n_int32_data, width);
    if (!bytes)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < proto->n_int32_data; i++)
        for (size_t b = 0; b < width; b++)
            bytes[i * width + b] = (uint8_t)((uint32_t)proto->int32_data[i] >> 8 * b);
    *payload = (struct i4q_view){bytes, proto->n_int32_data * width};
    return true;
}

static bool collect(struct i4q_arena *arena, const Onnx__TensorProto *proto, const struct type_row *row,
                    struct i4q_view *payload, struct i4q_error *error)
{
    *payload = (struct i4q_view){proto->raw_data.data, proto->raw_data.len};
    if (!field_count(proto, row->field))
        return true;
    switch (row->field) {
    case FLOAT_DATA:
        *payload = (struct i4q_view){(const uint8_t *)proto->float_data, proto->n_float_data * sizeof(float)};
        return true;
    case DOUBLE_DATA:
        *payload =
            (struct i4q_view){(const uint8_t *)proto->double_data, proto->n_double_data * sizeof(double)};
        return true;
    case INT64_DATA:
        *payload =
            (struct i4q_view){(const uint8_t *)proto->int64_data, proto->n_int64_data * sizeof(int64_t)};
        return true;
    default:
        return narrow(arena, proto, row->bits > 8 ? row->bits / 8 : 1, payload, error);
    }
}

bool i4q_tensor_payload(struct i4q_arena *arena, const Onnx__TensorProto *proto, struct i4q_view *payload,
                        struct i4q_error *error)
{
    const char *name = i4q_text(proto->name);
    const struct type_row *row = find_type(proto->data_type);
    struct i4q_tensor tensor = {0};
    if (!i4q_tensor_describe(proto, &tensor, error))
        return false;
    if (!row)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': elements of type %" PRId32 " cannot be read", name,
                        proto->data_type);
    if (proto->segment)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': tensors in segments are not supported", name);
    if (fields_in_use(proto) > 1)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': its elements are stored in more than one field",
                        name);
    if (!collect(arena, proto, row, payload, error))
        return false;
    if (payload->size != tensor.bytes)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': its shape needs %zu bytes of %s, the payload has %zu",
                        name, tensor.bytes, row->name, payload->size);
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "onnx/tensor.h"

#include "base/checked.h"
#include "onnx/dtype.h"
#include "onnx/node.h"

#include <inttypes.h>
#include <string.h>

enum { WIDEST = 16 }; /* bytes of an element */

/* ---- shape */

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
    if (!i4q_mul_size(count, WIDEST, &bytes))
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': its dimensions overflow", name);
    const struct i4q_dtype *dtype = i4q_dtype_find(proto->data_type);
    *tensor = (struct i4q_tensor){.type = proto->data_type,
                                  .rank = proto->n_dims,
                                  .dims = proto->dims,
                                  .count = count,
                                  .bytes = dtype ? i4q_dtype_bytes(dtype, count) : 0};
    return true;
}

size_t i4q_tensor_size(const Onnx__TensorProto *proto)
{
    struct i4q_tensor tensor;
    struct i4q_error ignored = {0};
    return i4q_tensor_describe(proto, &tensor, &ignored) ? tensor.bytes : 0;
}

/* ---- elements */

/* A field as a run of numbers. */
struct numbers {
    const void *data;
    size_t count, width; /* bytes of one */
};

static struct numbers field_numbers(const Onnx__TensorProto *proto, enum i4q_dtype_field field)
{
    const struct numbers fields[I4Q_DTYPE_FIELDS] = {
        [I4Q_FLOAT_DATA] = {proto->float_data, proto->n_float_data, sizeof(float)},
        [I4Q_INT32_DATA] = {proto->int32_data, proto->n_int32_data, sizeof(int32_t)},
        [I4Q_INT64_DATA] = {proto->int64_data, proto->n_int64_data, sizeof(int64_t)},
        [I4Q_DOUBLE_DATA] = {proto->double_data, proto->n_double_data, sizeof(double)},
        [I4Q_UINT64_DATA] = {proto->uint64_data, proto->n_uint64_data, sizeof(uint64_t)},
        [I4Q_STRING_DATA] = {proto->string_data, proto->n_string_data, sizeof *proto->string_data},
    };
    return fields[field];
}

/* How many of the fields that can hold elements do hold some. */
static int fields_in_use(const Onnx__TensorProto *proto)
{
    int used = proto->has_raw_data && proto->raw_data.len > 0;
    for (enum i4q_dtype_field field = 0; field < I4Q_DTYPE_FIELDS; field++)
        used += field_numbers(proto, field).count > 0;
    return used;
}

/* A number of a field may hold a smaller element, or a byte of several, in its low bytes. */
static bool narrow(struct i4q_arena *arena, const struct numbers *numbers, size_t width,
                   struct i4q_view *payload, struct i4q_error *error)
{
    uint8_t *bytes = i4q_arena_alloc(arena, numbers->count, width);
    if (!bytes)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < numbers->count; i++)
        memcpy(bytes + i * width, (const char *)numbers->data + i * numbers->width, width);
    *payload = (struct i4q_view){bytes, numbers->count * width};
    return true;
}

static bool collect(struct i4q_arena *arena, const Onnx__TensorProto *proto, const struct i4q_dtype *dtype,
                    struct i4q_view *payload, struct i4q_error *error)
{
    const struct numbers numbers = field_numbers(proto, dtype->field);
    size_t width = dtype->bits > 8 ? dtype->bits / 8 : 1;
    *payload = (struct i4q_view){proto->raw_data.data, proto->raw_data.len};
    if (!numbers.count)
        return true;
    if (width < numbers.width)
        return narrow(arena, &numbers, width, payload, error);
    *payload = (struct i4q_view){numbers.data, numbers.count * numbers.width};
    return true;
}

bool i4q_tensor_payload(struct i4q_arena *arena, const Onnx__TensorProto *proto, struct i4q_view *payload,
                        struct i4q_error *error)
{
    const char *name = i4q_text(proto->name);
    const struct i4q_dtype *dtype = i4q_dtype_find(proto->data_type);
    struct i4q_tensor tensor = {0};
    if (!i4q_tensor_describe(proto, &tensor, error))
        return false;
    if (!dtype || !dtype->bits)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': elements of type %" PRId32 " cannot be read", name,
                        proto->data_type);
    if (proto->segment)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': tensors in segments are not supported", name);
    if (fields_in_use(proto) > 1)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': its elements are stored in more than one field",
                        name);
    if (!collect(arena, proto, dtype, payload, error))
        return false;
    if (payload->size != tensor.bytes)
        return i4q_fail(error, I4Q_MODEL, "tensor '%s': its shape needs %zu bytes of %s, the payload has %zu",
                        name, tensor.bytes, dtype->name, payload->size);
    return true;
}

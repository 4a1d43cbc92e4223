// SPDX-License-Identifier: Apache-2.0
#include "forms/recognise.h"

#include "base/checked.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

#include <string.h>

enum { MOST_CODE_BITS = 16 }; /* wider integers are numbers rather than codes */

/* ---- the walk */

static const struct i4q_node *producer_of(const struct i4q_node *node, size_t input)
{
    const struct i4q_value *value = i4q_input_value(node, input);
    return value ? value->producer : NULL;
}

struct i4q_walk i4q_walk_from(struct i4q_arena *arena, const struct i4q_conv *conv,
                              struct i4q_storage *storage)
{
    return (struct i4q_walk){arena, storage, conv->weight->producer};
}

const struct i4q_node *i4q_walk_step(struct i4q_walk *walk, const char *op)
{
    const struct i4q_node *node = walk->at;
    if (!node || !i4q_node_is(node->proto, op))
        return NULL;
    walk->at = producer_of(node, 0);
    return node;
}

bool i4q_walk_shape(struct i4q_walk *walk, const struct i4q_node *reshape)
{
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    const Onnx__TensorProto *shape = i4q_input_tensor(reshape, 1);
    if (!shape || shape->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ||
        !i4q_tensor_payload(walk->arena, shape, &payload, &ignored))
        return false;
    size_t rank = payload.size / sizeof(int64_t), count = 1;
    int64_t *dims = i4q_arena_alloc(walk->arena, rank, sizeof *dims);
    if (!dims || !rank)
        return false;
    memcpy(dims, payload.data, payload.size);
    for (size_t i = 0; i < rank; i++)
        if (dims[i] <= 0 || !i4q_mul_size(count, (size_t)dims[i], &count))
            return false;
    walk->storage->dims = dims;
    walk->storage->rank = rank;
    walk->storage->count = count;
    return true;
}

bool i4q_walk_reshape(struct i4q_walk *walk)
{
    const struct i4q_node *reshape = i4q_walk_step(walk, "Reshape");
    return !reshape || i4q_walk_shape(walk, reshape);
}

/* ---- inputs */

bool i4q_is_linear(const struct i4q_node *node, const char *op)
{
    return i4q_node_is(node->proto, op) || i4q_node_is_of(node->proto, "com.microsoft", op);
}

const Onnx__TensorProto *i4q_input_tensor(const struct i4q_node *node, size_t input)
{
    const struct i4q_value *value = i4q_input_value(node, input);
    return value ? i4q_value_tensor(value) : NULL;
}

bool i4q_reads_integers(const struct i4q_node *node)
{
    const Onnx__TensorProto *tensor = i4q_input_tensor(node, 0);
    const struct i4q_dtype *dtype = tensor ? i4q_dtype_find(tensor->data_type) : NULL;
    return tensor && (!dtype || dtype->kind != I4Q_DTYPE_FLOAT);
}

/* ---- tensors */

/* A tensor with a sound shape, else NULL; its size is added. */
static const Onnx__TensorProto *take_tensor(struct i4q_storage *storage, const Onnx__TensorProto *proto,
                                            struct i4q_tensor *tensor)
{
    struct i4q_error ignored = {0};
    *tensor = (struct i4q_tensor){0};
    if (proto && i4q_tensor_describe(proto, tensor, &ignored)) {
        storage->bytes += tensor->bytes;
        return proto;
    }
    storage->unsound = proto ? proto : storage->unsound;
    return NULL;
}

/* Dimensions that are not 1, and the last of them. */
static size_t count_wide(const struct i4q_tensor *tensor, size_t *last)
{
    size_t count = 0;
    for (size_t i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] != 1) {
            *last = i;
            count++;
        }
    return count;
}

/* DequantizeLinear: the granularity follows from the shapes alone. */
static void set_granularity(struct i4q_storage *storage, const struct i4q_tensor *codes,
                            const struct i4q_tensor *scale)
{
    int64_t axis = storage->axis < 0 ? storage->axis + (int64_t)codes->rank : storage->axis;
    bool is_axis = axis >= 0 && axis < (int64_t)codes->rank;
    storage->axis = axis;
    if (scale->rank > 1)
        storage->granularity = I4Q_BLOCK;
    else if (scale->rank == 1 && is_axis && codes->dims[axis] == scale->dims[0])
        storage->granularity = I4Q_PER_CHANNEL;
    else
        storage->granularity = scale->count == 1 ? I4Q_PER_TENSOR : I4Q_PER_CHANNEL;
    if (storage->granularity != I4Q_BLOCK)
        storage->block = 0;
}

/* Plain arithmetic: scales broadcast, along one axis or, [channels, blocks, 1] before a Reshape, along two.
 */
static void set_broadcast(struct i4q_storage *storage, const struct i4q_tensor *codes,
                          const struct i4q_tensor *scale)
{
    size_t axis = 0, wide = count_wide(scale, &axis);
    bool reshaped = storage->dims != codes->dims;
    bool blocked = codes->rank == 3 && scale->rank == 3 && reshaped && scale->dims[0] == codes->dims[0] &&
                   scale->dims[1] == codes->dims[1] && scale->dims[2] == 1;
    storage->axis = (int64_t)axis;
    storage->granularity = blocked ? I4Q_BLOCK : wide ? I4Q_PER_CHANNEL : I4Q_PER_TENSOR;
    storage->block = blocked ? codes->dims[2] : 0;
}

void i4q_describe_integers(struct i4q_storage *storage, const Onnx__TensorProto *codes_proto,
                           const Onnx__TensorProto *scale_proto, const Onnx__TensorProto *zero_proto)
{
    struct i4q_tensor codes, scale, zero;
    storage->codes = take_tensor(storage, codes_proto, &codes);
    storage->scale = take_tensor(storage, scale_proto, &scale);
    storage->zero_point = take_tensor(storage, zero_proto, &zero);
    if (!storage->codes)
        return;
    i4q_storage_set_type(storage, codes.type);
    if (!storage->dims) {
        storage->dims = codes.dims;
        storage->rank = codes.rank;
        storage->count = codes.count;
    }
    if (storage->scale && storage->is_dequantize)
        set_granularity(storage, &codes, &scale);
    else if (storage->scale)
        set_broadcast(storage, &codes, &scale);
}

/* The tensor that an operand is, itself or cast to a float type: the one that it is cast to, else 0. */
static const Onnx__TensorProto *operand_tensor(const struct i4q_node *node, int64_t *type)
{
    const struct i4q_value *value = i4q_input_value(node, 1);
    const struct i4q_node *producer = value ? value->producer : NULL;
    bool cast = producer && i4q_node_is(producer->proto, "Cast");
    *type = cast ? i4q_node_int(producer->proto, "to", 0) : 0;
    const struct i4q_dtype *dtype = i4q_dtype_find((int32_t)*type);
    return !cast                                     ? i4q_input_tensor(node, 1)
           : dtype && dtype->kind == I4Q_DTYPE_FLOAT ? i4q_input_tensor(producer, 0)
                                                     : NULL;
}

bool i4q_describe_arithmetic(struct i4q_storage *storage, const struct i4q_node *first,
                             const struct i4q_node *mul, const struct i4q_node *sub)
{
    int64_t scale_type = 0, zero_type;
    const Onnx__TensorProto *scale = mul ? operand_tensor(mul, &scale_type) : NULL;
    storage->widened = scale_type == I4Q_TYPE(FLOAT);
    i4q_describe_integers(storage, i4q_input_tensor(first, 0), scale,
                          sub ? operand_tensor(sub, &zero_type) : NULL);
    bool stored = (!mul || storage->scale) && (!sub || storage->zero_point);
    return stored || storage->unsound;
}

/* Whether the tensor broadcasts to these dimensions without making them more. What does not broadcast at all
 * counts too: no runtime computes that, and readers of the numbers tell. */
static bool broadcasts(const Onnx__TensorProto *tensor, const int64_t *dims, size_t rank)
{
    bool grows = tensor->n_dims > rank;
    for (size_t i = 0; i < tensor->n_dims && i < rank; i++) {
        int64_t ours = dims[rank - 1 - i], theirs = tensor->dims[tensor->n_dims - 1 - i];
        if (ours != theirs && ours != 1 && theirs != 1)
            return true;
        grows |= ours == 1 && theirs != 1;
    }
    return !grows;
}

static size_t count_wide_dims(const Onnx__TensorProto *tensor)
{
    size_t count = 0;
    for (size_t i = 0; i < tensor->n_dims; i++)
        count += tensor->dims[i] != 1;
    return count;
}

static bool same_dims(const Onnx__TensorProto *a, const Onnx__TensorProto *b)
{
    return a->n_dims == b->n_dims &&
           (!a->n_dims || memcmp(a->dims, b->dims, a->n_dims * sizeof *a->dims) == 0);
}

bool i4q_fits_arithmetic(const struct i4q_storage *storage, const int64_t *dims, size_t rank)
{
    const Onnx__TensorProto *scale = storage->scale, *zero = storage->zero_point;
    if (!storage->codes) /* unsound, which is told */
        return true;
    const struct i4q_dtype *dtype = i4q_dtype_find(storage->codes->data_type);
    bool integers = dtype && dtype->type != I4Q_TYPE(BOOL) && dtype->bits <= MOST_CODE_BITS &&
                    (dtype->kind == I4Q_DTYPE_SIGNED || dtype->kind == I4Q_DTYPE_UNSIGNED);
    if (!integers || (scale && !broadcasts(scale, dims, rank)) || (zero && !broadcasts(zero, dims, rank)))
        return false;
    bool one_axis = !scale || storage->granularity == I4Q_BLOCK || count_wide_dims(scale) <= 1;
    return one_axis && (!zero || !count_wide_dims(zero) || (scale && same_dims(zero, scale)));
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/form.h"

#include "base/checked.h"

#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static const struct kind {
    int32_t type;
    const char *name;
    bool is_float;
} kinds[] = {
    {TYPE(FLOAT), "float32", true},  {TYPE(FLOAT16), "float16", true}, {TYPE(BFLOAT16), "bfloat16", true},
    {TYPE(DOUBLE), "float64", true}, {TYPE(INT4), "int4", false},      {TYPE(UINT4), "uint4", false},
    {TYPE(INT8), "int8", false},     {TYPE(UINT8), "uint8", false},
};

static const struct kind other_kind = {0, "other", false};

static const struct kind *find_kind(int32_t type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].type == type)
            return &kinds[i];
    return &other_kind;
}

const char *i4q_granularity_name(enum i4q_granularity granularity)
{
    static const char *const names[] = {
        [I4Q_PER_TENSOR] = "per-tensor", [I4Q_PER_CHANNEL] = "per-channel", [I4Q_BLOCK] = "block"};
    return names[granularity];
}

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

static const Onnx__TensorProto *input_tensor(const struct i4q_node *node, size_t input)
{
    if (input >= node->proto->n_input || !*node->proto->input[input])
        return NULL;
    const struct i4q_value *value = i4q_scope_resolve(node->scope, node->proto->input[input]);
    return value ? i4q_value_tensor(value) : NULL;
}

static int64_t int_attribute(const Onnx__NodeProto *node, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, name);
    return attribute ? attribute->i : otherwise;
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

static void describe_integers(struct i4q_storage *storage, const Onnx__TensorProto *codes_proto,
                              const Onnx__TensorProto *scale_proto, const Onnx__TensorProto *zero_proto)
{
    struct i4q_tensor codes, scale, zero;
    storage->codes = take_tensor(storage, codes_proto, &codes);
    storage->scale = take_tensor(storage, scale_proto, &scale);
    storage->zero_point = take_tensor(storage, zero_proto, &zero);
    if (!storage->codes)
        return;
    const struct kind *kind = find_kind(codes.type);
    storage->name = kind->name;
    storage->is_float = kind->is_float;
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

static const struct i4q_node *producer_of(const struct i4q_node *node, size_t input)
{
    if (input >= node->proto->n_input)
        return NULL;
    const struct i4q_value *value = i4q_scope_resolve(node->scope, node->proto->input[input]);
    return value ? value->producer : NULL;
}

/* The shape that a Reshape gives the weight; false where it is not constant and of positive dimensions. */
static bool take_shape(struct i4q_arena *arena, const struct i4q_node *reshape, struct i4q_storage *storage)
{
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    const Onnx__TensorProto *shape = input_tensor(reshape, 1);
    if (!shape || shape->data_type != TYPE(INT64) || !i4q_tensor_payload(arena, shape, &payload, &ignored))
        return false;
    size_t rank = payload.size / sizeof(int64_t), count = 1;
    int64_t *dims = i4q_arena_alloc(arena, rank, sizeof *dims);
    if (!dims || !rank)
        return false;
    memcpy(dims, payload.data, payload.size);
    for (size_t i = 0; i < rank; i++)
        if (dims[i] <= 0 || !i4q_mul_size(count, (size_t)dims[i], &count))
            return false;
    storage->dims = dims;
    storage->rank = rank;
    storage->count = count;
    return true;
}

/* Whether a zero point that the node reads is a constant. */
static bool knows_zero(const struct i4q_node *node, size_t input, const struct i4q_storage *storage)
{
    bool reads_one = node && input < node->proto->n_input && *node->proto->input[input];
    return !reads_one || storage->zero_point;
}

/* Inputs of DequantizeLinear: codes, scale, zero point. */
static bool describe_dequantize(const struct i4q_node *node, struct i4q_storage *storage)
{
    storage->is_dequantize = true;
    storage->axis = int_attribute(node->proto, "axis", 1);
    storage->block = int_attribute(node->proto, "block_size", 0);
    describe_integers(storage, input_tensor(node, 0), input_tensor(node, 1), input_tensor(node, 2));
    return knows_zero(node, 2, storage);
}

/* The node, if it is `op`; `at` then goes on to what makes its first operand. */
static const struct i4q_node *step(const struct i4q_node **at, const char *op)
{
    const struct i4q_node *node = *at;
    if (!node || !i4q_node_is(node->proto, op))
        return NULL;
    *at = producer_of(node, 0);
    return node;
}

/* From the shape of packed codes up to their low nibbles: see decoder.c. */
static bool step_to_bytes(struct i4q_arena *arena, const struct i4q_node **at, struct i4q_storage *storage)
{
    const struct i4q_node *shape = step(at, "Reshape");
    if (!shape || !take_shape(arena, shape, storage) || (step(at, "Slice") && !step(at, "Reshape")))
        return false;
    return step(at, "Concat") && step(at, "Unsqueeze") && step(at, "BitShift");
}

/* (codes - zero point) * scale, read from the end; the decoder is a Cast, or a BitShift of packed bytes. */
static bool describe_arithmetic(struct i4q_arena *arena, const struct i4q_node *at,
                                const struct i4q_node *decoder, struct i4q_storage *storage)
{
    bool packed = i4q_node_is(decoder->proto, "BitShift");
    const struct i4q_node *mul = step(&at, "Mul"), *sub = step(&at, "Sub");
    bool known = !packed || (step(&at, "Cast") && step_to_bytes(arena, &at, storage));
    describe_integers(storage, input_tensor(decoder, 0), mul ? input_tensor(mul, 1) : NULL,
                      sub ? input_tensor(sub, 1) : NULL);
    if (storage->codes && storage->scale) /* axes are counted from the last */
        storage->axis +=
            (int64_t)(packed ? storage->rank : storage->codes->n_dims) - (int64_t)storage->scale->n_dims;
    if (packed && known)
        storage->name = "packed-u8";
    if (packed && storage->zero_point && storage->zero_point->n_dims == 0)
        storage->bytes -= i4q_tensor_size(storage->zero_point); /* the 8 that all weights share */
    return known && at == decoder && knows_zero(sub, 1, storage);
}

/* The forms that emit.h has, with or without a Reshape. Of any other chain of nodes the kind of codes is
 * all that can be told. */
static void describe_decoded(struct i4q_arena *arena, const struct i4q_conv *conv,
                             struct i4q_storage *storage)
{
    const struct i4q_node *at = conv->weight->producer, *reshape = step(&at, "Reshape");
    bool arithmetic =
        i4q_node_is(conv->decoder->proto, "Cast") || i4q_node_is(conv->decoder->proto, "BitShift");
    bool known = !reshape || take_shape(arena, reshape, storage);
    if (arithmetic)
        known &= describe_arithmetic(arena, at, conv->decoder, storage);
    else
        known &= describe_dequantize(conv->decoder, storage) && at == conv->decoder;
    if (!known)
        *storage = (struct i4q_storage){.name = storage->name,
                                        .is_float = storage->is_float,
                                        .unsound = storage->unsound,
                                        .bytes = storage->bytes};
}

/* Inputs: QLinearConv x, x_scale, x_zero_point, w, w_scale, w_zero_point, ...; ConvInteger x, w,
 * x_zero_point, w_zero_point, without a scale. */
static void describe_operand(const struct i4q_conv *conv, struct i4q_storage *storage)
{
    size_t input = conv->op->weight_input;
    bool has_scale = i4q_node_is(conv->node->proto, "QLinearConv");
    storage->is_dequantize = true;
    describe_integers(storage, conv->tensor, has_scale ? input_tensor(conv->node, input + 1) : NULL,
                      input_tensor(conv->node, input + 2));
}

/* Of a weight that is not stored, its declared type may tell the kind. */
static void describe_declared(const struct i4q_conv *conv, struct i4q_storage *storage)
{
    const Onnx__TypeProto *type = conv->weight->type;
    if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return;
    const struct kind *kind = find_kind(type->tensor_type->elem_type);
    storage->name = kind->name;
    storage->is_float = kind->is_float;
}

void i4q_storage_describe(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage)
{
    *storage = (struct i4q_storage){.name = other_kind.name};
    if (conv->op->integer)
        describe_operand(conv, storage);
    else if (conv->source == I4Q_SOURCE_STORED)
        describe_integers(storage, conv->tensor, NULL, NULL);
    else if (conv->source == I4Q_SOURCE_DECODED)
        describe_decoded(arena, conv, storage);
    else
        describe_declared(conv, storage);
}

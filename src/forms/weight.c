// SPDX-License-Identifier: Apache-2.0
#include "forms/weight.h"

#include "base/half.h"
#include "platform/threads.h"

#include <math.h>
#include <string.h>

enum {
    DFL_MIN = 4,         /* shorter runs 0, 1, ... are no projection but chance */
    MAX_IDENTITIES = 64, /* in a row; behind more, a weight counts as read by something else */
};

/* Finds out who other than the chosen operators reads a weight, through Identity nodes. Only by its input 0
 * does one pass the weight on, so each is come by once. */
static void find_readers(struct i4q_weight *weight, const struct i4q_value *value, unsigned ops, int depth)
{
    if (!value)
        return;
    weight->is_output |= value->is_output;
    for (const struct i4q_use *use = value->uses; use; use = use->next) {
        const Onnx__NodeProto *node = use->node->proto;
        bool passes_on = i4q_node_is(node, "Identity") && use->input == 0 && node->n_output;
        if (!passes_on)
            weight->other_reader |= !i4q_conv_reads_weight(ops, node, use->input, weight->channel_axis);
        else if (depth == MAX_IDENTITIES)
            weight->other_reader = true;
        else
            find_readers(weight, i4q_scope_resolve(use->node->scope, node->output[0]), ops, depth + 1);
    }
}

bool i4q_weight_is_quantizable(const struct i4q_weight *weight)
{
    return weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT ||
           weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
}

/* I4Q_MODEL: a shape or payload that is not sound. */
static bool describe(struct i4q_arena *arena, unsigned ops, const struct i4q_conv *conv,
                     struct i4q_weight *weight, struct i4q_error *error)
{
    *weight = (struct i4q_weight){
        .value = conv->weight, .proto = conv->tensor, .op = conv->op, .channel_axis = conv->channel_axis};
    if (!i4q_tensor_describe(weight->proto, &weight->tensor, error))
        return false;
    find_readers(weight, weight->value, ops, 0);
    return !i4q_weight_is_quantizable(weight) ||
           i4q_tensor_payload(arena, weight->proto, &weight->payload, error);
}

/* Adds the weight of a Conv, if it is the first that reads it. */
static bool add(struct i4q_weights *weights, const struct i4q_conv *conv, struct i4q_error *error)
{
    uint32_t *number = &weights->numbers[conv->weight->index];
    if (conv->source != I4Q_SOURCE_STORED || *number)
        return true;
    struct i4q_weight *weight = &weights->items[weights->count++];
    *number = (uint32_t)weights->count;
    return describe(&weights->model->arena, weights->ops, conv, weight, error);
}

bool i4q_weights_find(struct i4q_model *model, unsigned ops, struct i4q_weights *weights,
                      struct i4q_error *error)
{
    *weights = (struct i4q_weights){.model = model, .ops = ops};
    if (!i4q_convs_find(model, ops | i4q_ops_beside(ops), 0, &weights->convs, &weights->n_convs, error))
        return false;
    weights->items = i4q_arena_alloc(&model->arena, weights->n_convs, sizeof *weights->items);
    weights->numbers = i4q_arena_alloc(&model->arena, model->n_values, sizeof *weights->numbers);
    if (!weights->items || !weights->numbers)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < weights->n_convs; i++)
        if (!add(weights, &weights->convs[i], error))
            return false;
    return true;
}

struct i4q_weight *i4q_weight_of(const struct i4q_weights *weights, const struct i4q_value *value)
{
    uint32_t number = weights->numbers[value->index];
    return number ? &weights->items[number - 1] : NULL;
}

/* ---- what the numbers tell */

struct look {
    struct i4q_weights *weights;
    const bool *wanted;
    const struct i4q_kernels *kernels;
};

static bool is_finite(const struct i4q_kernels *kernels, const struct i4q_weight *weight, size_t start,
                      size_t n)
{
    float widened[I4Q_RUN];
    bool half = weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    const uint8_t *data = weight->payload.data + start * (half ? sizeof(uint16_t) : sizeof(float));
    if (half)
        kernels->widen16(data, n, widened);
    return isfinite(kernels->absmax(half ? (const void *)widened : data, n));
}

static void look_through(void *context, size_t index)
{
    const struct look *look = context;
    struct i4q_weight *weight = &look->weights->items[index];
    size_t count = weight->tensor.count;
    if (!look->wanted[index] || weight->looked_through)
        return;
    weight->looked_through = weight->finite = true;
    for (size_t start = 0; start < count && weight->finite; start += I4Q_RUN) {
        size_t n = count - start < I4Q_RUN ? count - start : I4Q_RUN;
        weight->finite = is_finite(look->kernels, weight, start, n);
        i4q_model_release(look->weights->model, n * (weight->tensor.bytes / count));
    }
}

void i4q_weights_look_through(struct i4q_weights *weights, const bool *wanted,
                              const struct i4q_kernels *kernels, unsigned threads)
{
    struct look look = {weights, wanted, kernels};
    i4q_parallel_for(threads, weights->count, look_through, &look);
}

float i4q_weight_element(const struct i4q_weight *weight, size_t i)
{
    return i4q_real_load(weight->payload.data, weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16,
                         i);
}

/* Channels lie along one axis, their n inputs along the other one of the first two. */
bool i4q_weight_is_dfl(const struct i4q_weight *weight)
{
    const struct i4q_tensor *tensor = &weight->tensor;
    size_t axis = weight->channel_axis;
    if (tensor->rank < 2 || axis > 1 || !tensor->count)
        return false;
    size_t channels = i4q_weight_channels(weight), inner = i4q_weight_inner(weight),
           n = tensor->count / channels;
    if (n < DFL_MIN || tensor->dims[1 - axis] != (int64_t)n)
        return false;
    for (size_t i = 0; i < tensor->count; i++) {
        size_t outer = i / inner / channels;
        if (i4q_weight_element(weight, i) != (float)(outer * inner + i % inner))
            return false;
    }
    return true;
}

size_t i4q_weight_channels(const struct i4q_weight *weight)
{
    return (size_t)weight->tensor.dims[weight->channel_axis];
}

size_t i4q_weight_inner(const struct i4q_weight *weight)
{
    size_t inner = 1;
    for (size_t i = weight->channel_axis + 1; i < weight->tensor.rank; i++)
        inner *= (size_t)weight->tensor.dims[i];
    return inner;
}

size_t i4q_weight_groups(const struct i4q_weight *weight)
{
    const struct i4q_use *use = weight->value->uses;
    const Onnx__AttributeProto *group = use ? i4q_node_attribute(use->node->proto, "group") : NULL;
    size_t groups = group && group->i > 0 ? (size_t)group->i : 1;
    return i4q_weight_channels(weight) % groups ? 1 : groups;
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/weight.h"

#include "base/half.h"

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

bool i4q_weight_describe(struct i4q_arena *arena, unsigned ops, const struct i4q_conv *conv,
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

void i4q_weight_describe_origin(const struct i4q_conv *conv, const struct i4q_storing *storing,
                                struct i4q_weight *weight)
{
    const struct i4q_origin *origin = conv->origin;
    *weight = (struct i4q_weight){.value = origin->value,
                                  .proto = (Onnx__TensorProto *)origin->proto,
                                  .tensor = origin->tensor,
                                  .origin = origin,
                                  .storing = *storing,
                                  .op = conv->op,
                                  .channel_axis = origin->axis,
                                  .looked_through = true,
                                  .finite = true};
    weight->tensor.type =
        origin->half ? ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 : ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    weight->tensor.bytes = weight->tensor.count * i4q_real_size(origin->half);
}

float i4q_weight_element(const struct i4q_weight *weight, size_t i)
{
    float value;
    if (weight->origin) {
        i4q_origin_values(weight->origin, i, 1, &value);
        return value;
    }
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

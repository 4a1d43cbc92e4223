// SPDX-License-Identifier: Apache-2.0
#include "rewrite/factor.h"

#include "base/half.h"
#include "forms/nbits_node.h"
#include "forms/recognise.h"
#include "onnx/edit.h"

static size_t rank_of_type(const struct i4q_value *value)
{
    const Onnx__TypeProto *type = value->type;
    bool known = type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && type->tensor_type->shape;
    return known ? type->tensor_type->shape->n_dim : 0;
}

/* Of a weight, also behind what decodes it: none of these nodes changes the rank, but Reshape. */
static size_t rank_of_weight(const struct i4q_value *value)
{
    static const char *const decoders[] = {"DequantizeLinear", "Cast", "Sub", "Mul", "Identity"};
    enum { MOST = 16, MOST_RANK = 8 };
    for (int depth = 0; value && depth < MOST; depth++) {
        const struct i4q_node *node = value->producer;
        bool decodes = false;
        if (value->initializer || !node)
            return value->initializer ? value->initializer->n_dims : 0;
        for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
            decodes |= i4q_node_is(node->proto, decoders[i]) ||
                       i4q_node_is_of(node->proto, "com.microsoft", decoders[i]);
        if (i4q_node_is(node->proto, "Reshape")) {
            const Onnx__TensorProto *shape = i4q_input_tensor(node, 1);
            bool sound = shape && shape->n_dims == 1 && shape->dims[0] > 0 && shape->dims[0] <= MOST_RANK;
            return sound ? (size_t)shape->dims[0] : 0;
        }
        value = decodes ? i4q_input_value(node, 0) : NULL;
    }
    return 0;
}

/* Of what a Conv reads and makes. */
static size_t rank_of_conv(const struct i4q_node *node)
{
    bool is_ours = i4q_nbits_is(node->proto);
    const Onnx__AttributeProto *shape = is_ours ? i4q_node_attribute(node->proto, "weight_shape") : NULL,
                               *window = i4q_node_attribute(node->proto, "kernel_shape");
    if (shape)
        return shape->n_ints;
    if (!i4q_node_is(node->proto, "Conv"))
        return 0;
    return window && window->n_ints ? window->n_ints + 2 : rank_of_weight(i4q_input_value(node, 1));
}

size_t i4q_factor_rank(const struct i4q_activation_pair *pair)
{
    size_t rank = rank_of_type(pair->tensor);
    rank = rank ? rank : rank_of_type(pair->result);
    for (const struct i4q_use *use = pair->result->uses; use && !rank; use = use->next)
        rank = use->input == 0 ? rank_of_conv(use->node) : 0;
    return rank || !pair->tensor->producer ? rank : rank_of_conv(pair->tensor->producer);
}

bool i4q_factor_has_same_zeros(const struct i4q_activation_pair *pair)
{
    struct i4q_activation_pair zeros = *pair;
    zeros.decoded_scale = zeros.scale;
    return i4q_activation_is_plain(&zeros);
}

size_t i4q_factor_axis(const struct i4q_activation_pair *pair, size_t rank)
{
    int64_t axis = pair->axis < 0 ? pair->axis + (int64_t)rank : pair->axis;
    return axis < 0 || axis > (int64_t)rank ? rank : (size_t)axis;
}

const char *i4q_factor_add(struct i4q_model *model, const struct i4q_activation_pair *pair)
{
    bool half = pair->scale.type->type == I4Q_TYPE(FLOAT16);
    size_t n = pair->channels ? pair->channels : 1, rank = pair->channels ? i4q_factor_rank(pair) : 0;
    int64_t *dims = i4q_arena_alloc(&model->arena, rank, sizeof *dims);
    const char *base = i4q_arena_format(&model->arena, "%s_factor", pair->result->name);
    const char *name = base ? i4q_graph_new_name(&model->graph, base) : NULL;
    if (!dims || !name)
        return NULL;
    for (size_t i = 0; i < rank; i++)
        dims[i] = i == i4q_factor_axis(pair, rank) ? (int64_t)n : 1;
    Onnx__TensorProto *tensor =
        i4q_edit_blank_tensor(model, name, pair->scale.type->type, dims, rank, n * i4q_real_size(half));
    if (!tensor || !i4q_edit_add_initializer(model, pair->dequantize->scope, tensor))
        return NULL;
    for (size_t i = 0; i < n; i++)
        i4q_real_store(
            tensor->raw_data.data, half, i,
            (float)(i4q_activation_number(&pair->decoded_scale, i) / i4q_activation_number(&pair->scale, i)));
    return name;
}

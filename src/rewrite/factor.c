// SPDX-License-Identifier: Apache-2.0
#include "rewrite/factor.h"

#include "base/half.h"
#include "forms/nbits_node.h"
#include "onnx/edit.h"
#include "onnx/ranks.h"

/* Of what a Conv or ConvNBits reads and makes. */
static int64_t rank_of_conv(const int64_t *ranks, const struct i4q_node *node)
{
    const Onnx__AttributeProto *shape =
        i4q_nbits_is(node->proto) ? i4q_node_attribute(node->proto, "weight_shape") : NULL;
    if (shape)
        return (int64_t)shape->n_ints;
    return i4q_node_is(node->proto, "Conv") ? i4q_rank(ranks, i4q_output_value(node, 0)) : I4Q_RANK_UNKNOWN;
}

size_t i4q_factor_rank(const int64_t *ranks, const struct i4q_activation_pair *pair)
{
    int64_t rank = i4q_rank(ranks, pair->result);
    for (const struct i4q_use *use = pair->result->uses; use && rank < 1; use = use->next)
        rank = use->input == 0 ? rank_of_conv(ranks, use->node) : I4Q_RANK_UNKNOWN;
    if (rank < 1 && pair->tensor->producer)
        rank = rank_of_conv(ranks, pair->tensor->producer);
    return rank < 1 ? 0 : (size_t)rank;
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

const char *i4q_factor_add(struct i4q_model *model, const struct i4q_activation_pair *pair, size_t rank)
{
    bool half = pair->scale.type->type == I4Q_TYPE(FLOAT16);
    size_t n = pair->channels ? pair->channels : 1;
    rank = pair->channels ? rank : 0;
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

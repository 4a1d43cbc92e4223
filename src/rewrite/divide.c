// SPDX-License-Identifier: Apache-2.0
#include "rewrite/divide.h"

#include "onnx/edit.h"
#include "onnx/layers.h"
#include "onnx/prune.h"
#include "onnx/ranks.h"
#include "rewrite/factor.h"
#include "rewrite/insert.h"

enum { SCALE = 1, ZERO_POINT };

/* ---- which */

static bool is_dequantized(const struct i4q_value *value)
{
    return value && value->producer && i4q_node_is(value->producer->proto, "DequantizeLinear");
}

/* Whether ONNX Runtime joins it: it computes from what is dequantized, with float weights. */
static bool joins(const struct i4q_conv *conv)
{
    struct i4q_value *input = conv->source == I4Q_SOURCE_STORED ? i4q_input_value(conv->node, 0) : NULL;
    return input && is_dequantized(i4q_value_behind_identities(input));
}

/* By the index of a node; NULL: an error. */
static const bool *find_joined(struct i4q_model *model, struct i4q_error *error)
{
    struct i4q_conv *convs;
    size_t count;
    if (!i4q_layers_find(model, i4q_ops_all(), &convs, &count, error))
        return NULL;
    bool *joined = i4q_arena_alloc(&model->arena, model->graph.n_nodes, sizeof *joined);
    for (size_t i = 0; joined && i < count; i++)
        joined[convs[i].node->index] = joins(&convs[i]);
    if (!joined)
        i4q_fail_memory(error);
    return joined;
}

/* The node that makes what is quantized is joined. */
static bool is_behind(const struct i4q_activation_pair *pair, const bool *joined)
{
    const struct i4q_value *value = i4q_value_behind_identities((struct i4q_value *)pair->tensor);
    return value->producer && joined[value->producer->index];
}

/* Whether nothing but the pair reads the codes. */
static bool is_single(const struct i4q_activation_pair *pair)
{
    const struct i4q_value *codes = i4q_output_value(pair->quantize, 0);
    for (size_t i = 0; codes && i < pair->n_clips; i++) {
        if (codes->is_output || !codes->uses || codes->uses->next)
            return false;
        codes = i4q_output_value(pair->clips[i], 0);
    }
    return codes && !codes->is_output && codes->uses && !codes->uses->next;
}

static bool is_divisible(const struct i4q_model *model, const struct i4q_activation_pair *pair, size_t rank)
{
    const struct i4q_scope *main_scope = model->graph.scopes;
    bool typed = pair->scale.type == pair->decoded_scale.type &&
                 (pair->scale.type->type == I4Q_TYPE(FLOAT) || pair->scale.type->type == I4Q_TYPE(FLOAT16));
    return !pair->flaw && typed && pair->channels && pair->scale.count > 1 &&
           pair->decoded_scale.count == 1 && pair->decoded_zero_point.type &&
           pair->decoded_zero_point.count == 1 && pair->quantize->scope == main_scope &&
           pair->dequantize->scope == main_scope && i4q_factor_axis(pair, rank) < rank &&
           i4q_factor_has_same_zeros(pair) && is_single(pair);
}

/* ---- edits */

/* The Mul; NULL when memory runs out. */
static Onnx__NodeProto *make_mul(struct i4q_model *model, const struct i4q_activation_pair *pair, size_t rank)
{
    const char *inputs[] = {pair->tensor->name, i4q_factor_add(model, pair, rank)};
    char *base = i4q_arena_format(&model->arena, "%s_divided", pair->tensor->name);
    const char *output = base ? i4q_graph_new_name(&model->graph, base) : NULL;
    return inputs[1] && output ? i4q_edit_node(model, "Mul", output, inputs, 2, &output, 1) : NULL;
}

/* QuantizeLinear reads the Mul, and the scale of the DequantizeLinear; `unread` gets what it read. */
static bool divide(struct i4q_model *model, const struct i4q_activation_pair *pair, size_t rank,
                   struct i4q_table *behind, struct i4q_list *unread)
{
    Onnx__NodeProto *quantize = pair->quantize->proto, *mul = make_mul(model, pair, rank);
    char *const *from = pair->dequantize->proto->input;
    const Onnx__AttributeProto *axis = i4q_node_attribute(quantize, "axis");
    for (size_t i = SCALE; i < quantize->n_input; i++)
        if (!i4q_list_add(&model->arena, unread, quantize->input[i]))
            return false;
    void **slot = mul ? i4q_table_at(behind, pair->tensor->name) : NULL;
    if (slot && !*slot)
        *slot = i4q_arena_alloc(&model->arena, 1, sizeof(struct i4q_list));
    if (!slot || !*slot || !i4q_list_add(&model->arena, *slot, mul) ||
        !i4q_edit_set_input(model, quantize, 0, mul->output[0]) ||
        !i4q_edit_set_input(model, quantize, SCALE, from[SCALE]) ||
        !i4q_edit_set_input(model, quantize, ZERO_POINT, from[ZERO_POINT]) ||
        !i4q_edit_open(model, &quantize->base))
        return false;
    if (axis)
        i4q_edit_remove_attribute(quantize, axis);
    return true;
}

bool i4q_divide_activations(struct i4q_model *model, size_t *count, struct i4q_error *error)
{
    struct i4q_activation_pair *pairs;
    size_t n;
    struct i4q_table behind;
    struct i4q_list unread = {0};
    i4q_table_init(&behind, &model->arena);
    *count = 0;
    if (!i4q_activations_find(model, &pairs, &n, error))
        return false;
    const int64_t *ranks = i4q_find_ranks(model);
    if (!ranks)
        return i4q_fail_memory(error);
    const bool *joined = find_joined(model, error);
    for (size_t i = 0; joined && i < n; i++) {
        size_t rank = i4q_factor_rank(ranks, &pairs[i]);
        if (!is_divisible(model, &pairs[i], rank) || !is_behind(&pairs[i], joined))
            continue;
        if (!divide(model, &pairs[i], rank, &behind, &unread))
            return i4q_fail_memory(error);
        ++*count;
    }
    if (!joined || !*count)
        return joined;
    if (!i4q_insert_nodes(model, NULL, &behind) || !i4q_prune(model, model->proto->graph, &unread))
        return i4q_fail_memory(error);
    return i4q_model_index(model, error);
}

// SPDX-License-Identifier: Apache-2.0
#include "rewrite/input_ranges.h"

#include "forms/activation.h"
#include "forms/activation_read.h"
#include "forms/nbits_node.h"

/* Of one graph. */
struct splitter {
    struct i4q_model *model;
    struct i4q_scope *scope;
    struct i4q_table shared; /* see forms/activation.h */
    struct i4q_table made;   /* "tensor|scale|zero point" -> what is read in its place */
    struct i4q_list nodes;   /* of the graph, as they will be */
};

static bool drop_attribute(struct i4q_model *model, const struct i4q_node *node, const char *name)
{
    Onnx__AttributeProto *found = (Onnx__AttributeProto *)i4q_node_attribute(node->proto, name);
    if (!found)
        return true;
    if (!i4q_edit_open(model, &found->base))
        return false;
    found->f = 0;
    found->i = 0;
    return true;
}

static bool split(struct splitter *splitter, const struct i4q_node *node, const struct i4q_range *range)
{
    struct i4q_model *model = splitter->model;
    const char *tensor = node->proto->input[I4Q_NBITS_X];
    const struct i4q_qdq_place place = {model, splitter->scope, &splitter->shared};
    const struct i4q_qdq pair = {.name = tensor, .range = *range};
    const char *key = i4q_arena_format(&model->arena, "%s|%a|%d", tensor, (double)range->scale, range->zero);
    void **slot = key ? i4q_table_at(&splitter->made, key) : NULL;
    if (slot && !*slot)
        *slot = (void *)i4q_qdq_emit(&place, &pair, &splitter->nodes);
    return slot && *slot && i4q_edit_set_input(model, node->proto, I4Q_NBITS_X, *slot) &&
           drop_attribute(model, node, "input_scale") && drop_attribute(model, node, "input_zero_point");
}

static bool split_graph(struct i4q_model *model, struct i4q_scope *scope)
{
    struct splitter splitter = {.model = model, .scope = scope};
    i4q_table_init(&splitter.shared, &model->arena);
    i4q_table_init(&splitter.made, &model->arena);
    for (size_t i = 0; i < scope->n_nodes; i++) {
        const struct i4q_node *node = &scope->nodes[i];
        struct i4q_range range;
        if ((i4q_nbits_input_range(node, &range) && !split(&splitter, node, &range)) ||
            !i4q_list_add(&model->arena, &splitter.nodes, node->proto))
            return false;
    }
    if (splitter.nodes.count == scope->n_nodes)
        return true;
    if (!i4q_edit_open(model, &scope->graph->base))
        return false;
    scope->graph->node = (Onnx__NodeProto **)splitter.nodes.items;
    scope->graph->n_node = splitter.nodes.count;
    return true;
}

bool i4q_input_ranges_split(struct i4q_model *model, struct i4q_error *error)
{
    struct i4q_activation_pair *pairs;
    size_t count, inside = 0;
    if (!i4q_activations_find(model, &pairs, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        inside += pairs[i].is_inside;
        if (pairs[i].is_inside && pairs[i].flaw)
            return i4q_fail(error, I4Q_MODEL, "node '%s': %s", i4q_node_label(pairs[i].quantize->proto),
                            pairs[i].flaw);
    }
    for (struct i4q_scope *scope = model->graph.scopes; inside && scope; scope = scope->next)
        if (scope->graph && !split_graph(model, scope))
            return i4q_fail_memory(error);
    return !inside || i4q_model_index(model, error);
}

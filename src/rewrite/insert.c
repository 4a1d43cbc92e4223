// SPDX-License-Identifier: Apache-2.0
#include "rewrite/insert.h"

#include "onnx/edit.h"

static bool add_all(struct i4q_model *model, struct i4q_list *list, const struct i4q_list *items)
{
    for (size_t i = 0; items && i < items->count; i++)
        if (!i4q_list_add(&model->arena, list, items->items[i]))
            return false;
    return true;
}

bool i4q_insert_nodes(struct i4q_model *model, const struct i4q_list *front, const struct i4q_table *behind)
{
    Onnx__GraphProto *graph = model->proto->graph;
    struct i4q_list list = {0};
    if (!i4q_edit_open(model, &graph->base) || !add_all(model, &list, front))
        return false;
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        if (!i4q_list_add(&model->arena, &list, node))
            return false;
        for (size_t k = 0; k < node->n_output; k++)
            if (!add_all(model, &list, i4q_table_get(behind, node->output[k])))
                return false;
    }
    graph->node = (Onnx__NodeProto **)list.items;
    graph->n_node = list.count;
    return true;
}

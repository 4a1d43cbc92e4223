// SPDX-License-Identifier: Apache-2.0
#include "onnx/prune.h"

#include "onnx/edit.h"

#include <stdint.h>
#include <string.h>

/* What is known of one name. */
struct entry {
    size_t readers;
    const Onnx__NodeProto *maker; /* in this graph */
    bool stored;                  /* an initializer of this graph */
    bool is_input;
    bool gone;
};

struct pruner {
    struct i4q_model *model;
    Onnx__GraphProto *graph;
    struct i4q_table entries; /* name -> struct entry */
};

static struct entry *entry_at(struct pruner *pruner, const char *name)
{
    void **slot = i4q_table_at(&pruner->entries, name);
    if (slot && !*slot)
        *slot = i4q_arena_alloc(&pruner->model->arena, 1, sizeof(struct entry));
    return slot ? *slot : NULL;
}

/* ---- who reads, who makes */

static bool count_reader(struct pruner *pruner, const char *name)
{
    struct entry *entry = *i4q_text(name) ? entry_at(pruner, name) : NULL;
    if (entry)
        entry->readers++;
    return entry || !*i4q_text(name);
}

/* A body may read any value of the graphs around it; a name that it defines itself is at worst one that
 * stays. The wire pass bounds the depth. */
static bool count_graph(struct pruner *pruner, const Onnx__GraphProto *graph);

static bool count_bodies(struct pruner *pruner, const Onnx__AttributeProto *attribute)
{
    bool ok = !attribute->g || count_graph(pruner, attribute->g);
    for (size_t i = 0; ok && i < attribute->n_graphs; i++)
        ok = count_graph(pruner, attribute->graphs[i]);
    return ok;
}

static bool count_node(struct pruner *pruner, const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_input; i++)
        if (!count_reader(pruner, node->input[i]))
            return false;
    for (size_t i = 0; i < node->n_attribute; i++)
        if (!count_bodies(pruner, node->attribute[i]))
            return false;
    return true;
}

static bool count_graph(struct pruner *pruner, const Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_node; i++)
        if (!count_node(pruner, graph->node[i]))
            return false;
    for (size_t i = 0; i < graph->n_output; i++)
        if (!count_reader(pruner, graph->output[i]->name))
            return false;
    return true;
}

static bool find_makers(struct pruner *pruner)
{
    const Onnx__GraphProto *graph = pruner->graph;
    struct entry *entry = NULL;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t o = 0; o < graph->node[i]->n_output; o++) {
            if (!(entry = entry_at(pruner, i4q_text(graph->node[i]->output[o]))))
                return false;
            entry->maker = graph->node[i];
        }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (!(entry = entry_at(pruner, i4q_text(graph->initializer[i]->name))))
            return false;
        entry->stored = true;
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        if (!(entry = entry_at(pruner, i4q_text(graph->input[i]->name))))
            return false;
        entry->is_input = true;
    }
    return true;
}

/* ---- what goes */

/* Nodes that make no sense without a reader. */
static bool is_maker(const Onnx__NodeProto *node)
{
    static const char *const ops[] = {"Constant", "Identity", "Clip", "QuantizeLinear"};
    bool found = false;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        found |= i4q_node_is(node, ops[i]);
    return (found || i4q_node_is_of(node, "com.microsoft", "QuantizeLinear")) && node->n_output == 1;
}

static bool may_go(const struct entry *entry)
{
    if (entry->gone || entry->readers || entry->is_input)
        return false;
    return entry->stored || (entry->maker && is_maker(entry->maker));
}

/* `asked` grows by the operands of what goes; each reader of a value adds it once. */
static bool drop(struct pruner *pruner, struct i4q_list *asked)
{
    for (size_t i = 0; i < asked->count; i++) {
        struct entry *entry = i4q_table_get(&pruner->entries, asked->items[i]);
        if (!entry || !may_go(entry))
            continue;
        entry->gone = true;
        for (size_t k = 0; entry->maker && k < entry->maker->n_input; k++) {
            struct entry *operand = i4q_table_get(&pruner->entries, entry->maker->input[k]);
            if (operand && operand->readers)
                operand->readers--;
            if (operand && !i4q_list_add(&pruner->model->arena, asked, entry->maker->input[k]))
                return false;
        }
    }
    return true;
}

static bool is_gone(const struct pruner *pruner, const char *name)
{
    const struct entry *entry = i4q_table_get(&pruner->entries, i4q_text(name));
    return entry && entry->gone;
}

static void sweep(struct pruner *pruner)
{
    Onnx__GraphProto *graph = pruner->graph;
    size_t kept = 0;
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (!is_gone(pruner, graph->initializer[i]->name))
            graph->initializer[kept++] = graph->initializer[i];
    graph->n_initializer = kept;
    kept = 0;
    for (size_t i = 0; i < graph->n_node; i++)
        if (!graph->node[i]->n_output || !is_gone(pruner, graph->node[i]->output[0]))
            graph->node[kept++] = graph->node[i];
    graph->n_node = kept;
}

/* Marks the names that stand for nothing, then drops what was said of them. */
static bool sweep_value_info(struct pruner *pruner, const struct i4q_list *names)
{
    Onnx__GraphProto *graph = pruner->graph;
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++) {
        struct entry *entry = entry_at(pruner, names->items[i]);
        if (!entry)
            return false;
        entry->gone |= !entry->maker && !entry->stored && !entry->is_input;
    }
    for (size_t i = 0; i < graph->n_value_info; i++)
        if (!is_gone(pruner, graph->value_info[i]->name))
            graph->value_info[kept++] = graph->value_info[i];
    graph->n_value_info = kept;
    return true;
}

bool i4q_prune(struct i4q_model *model, Onnx__GraphProto *graph, const struct i4q_list *names)
{
    struct pruner pruner = {.model = model, .graph = graph};
    i4q_table_init(&pruner.entries, &model->arena);
    if (!count_graph(&pruner, graph) || !find_makers(&pruner))
        return false;
    struct i4q_list asked = {0};
    for (size_t i = 0; i < names->count; i++)
        if (!i4q_list_add(&model->arena, &asked, names->items[i]))
            return false;
    if (!drop(&pruner, &asked))
        return false;
    sweep(&pruner);
    return sweep_value_info(&pruner, &asked);
}

void i4q_prune_import(struct i4q_model *model, const char *domain)
{
    Onnx__ModelProto *proto = model->proto;
    size_t kept = 0;
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next)
        if (strcmp(i4q_text(node->proto->domain), domain) == 0)
            return;
    for (size_t i = 0; i < proto->n_opset_import; i++)
        if (strcmp(i4q_text(proto->opset_import[i]->domain), domain) != 0)
            proto->opset_import[kept++] = proto->opset_import[i];
    proto->n_opset_import = kept;
}

// SPDX-License-Identifier: Apache-2.0
#include "onnx/order.h"

#include <string.h>

struct sorter {
    uint32_t *waits; /* by a node's index: for how many of its reads the producer is still to come */
    const struct i4q_node **sorted;
    size_t n_sorted, done; /* those behind `done` wait for nothing any more, but have told nobody yet */
};

/* ---- order */

typedef void each_fn(struct sorter *sorter, const struct i4q_node *node);

/* Calls `each` for the nodes that read what `node` makes, once for each time; for one in a body it is the
 * node beside `node` that holds the body. */
static void each_reader(struct sorter *sorter, const struct i4q_node *node, each_fn *each)
{
    for (size_t i = 0; i < node->proto->n_output; i++) {
        const struct i4q_value *value = i4q_output_value(node, i);
        for (const struct i4q_use *use = value ? value->uses : NULL; use; use = use->next) {
            const struct i4q_node *reader = use->node;
            while (reader->scope != node->scope)
                reader = reader->scope->holder;
            each(sorter, reader);
        }
    }
}

static void wait_more(struct sorter *sorter, const struct i4q_node *reader)
{
    sorter->waits[reader->index]++;
}

static void wait_less(struct sorter *sorter, const struct i4q_node *reader)
{
    if (--sorter->waits[reader->index] == 0)
        sorter->sorted[sorter->n_sorted++] = reader;
}

static void sort_scope(struct sorter *sorter, const struct i4q_scope *scope)
{
    for (size_t i = 0; i < scope->n_nodes; i++)
        each_reader(sorter, &scope->nodes[i], wait_more);
    for (size_t i = 0; i < scope->n_nodes; i++)
        if (!sorter->waits[scope->nodes[i].index])
            sorter->sorted[sorter->n_sorted++] = &scope->nodes[i];
    while (sorter->done < sorter->n_sorted)
        each_reader(sorter, sorter->sorted[sorter->done++], wait_less);
}

static bool refuse(const struct sorter *sorter, const struct i4q_graph *graph, struct i4q_error *error)
{
    const struct i4q_node *node = graph->nodes;
    while (!sorter->waits[node->index])
        node = node->next;
    return i4q_fail(error, I4Q_MODEL,
                    "node '%s' (%s): it is in a cycle, or behind one: %zu of %u nodes wait for each other",
                    i4q_node_label(node->proto), i4q_text(node->proto->op_type),
                    graph->n_nodes - sorter->n_sorted, (unsigned)graph->n_nodes);
}

/* ---- constants */

static bool holds_bodies(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->g || node->attribute[i]->n_graphs)
            return true;
    return false;
}

/* Of what reads nothing, only Constant is known to make the same each time. */
static bool makes_constants(const struct i4q_node *node)
{
    bool any = i4q_node_is(node->proto, "Constant");
    for (size_t i = 0; i < node->proto->n_input; i++) {
        const char *name = node->proto->input[i];
        const struct i4q_value *value = *name ? i4q_scope_resolve(node->scope, name) : NULL;
        if (*name && (!value || !value->is_constant))
            return false;
        any |= *name != '\0';
    }
    return any && !holds_bodies(node->proto);
}

static void find_constants(const struct i4q_graph *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct i4q_node *node = graph->sorted[i];
        bool constant = makes_constants(node);
        for (size_t k = 0; k < node->proto->n_output; k++) {
            struct i4q_value *value = i4q_output_value(node, k);
            if (value)
                value->is_constant |= constant;
        }
    }
}

bool i4q_graph_sort(struct i4q_arena *arena, struct i4q_graph *graph, struct i4q_error *error)
{
    struct i4q_arena scratch;
    i4q_arena_init(&scratch, arena->limit);
    struct sorter sorter = {.waits = i4q_arena_alloc(&scratch, graph->n_nodes, sizeof *sorter.waits)};
    graph->sorted = sorter.sorted = i4q_arena_alloc(arena, graph->n_nodes, sizeof *graph->sorted);
    bool ok = sorter.waits && sorter.sorted;
    for (const struct i4q_scope *scope = graph->scopes; ok && scope; scope = scope->next)
        sort_scope(&sorter, scope);
    if (!ok)
        i4q_fail_memory(error);
    else if (sorter.n_sorted < graph->n_nodes)
        ok = refuse(&sorter, graph, error);
    else
        find_constants(graph);
    i4q_arena_free(&scratch);
    return ok;
}

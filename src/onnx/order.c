// SPDX-License-Identifier: Apache-2.0
/* Nodes can be computed when all that they read, also within their bodies, has been (Kahn 1962). */
#include "onnx/graph.h"

#include "onnx/layers.h"

struct sorter {
    uint32_t *waits; /* by a node's index: for how many of its reads the producer is still to come */
    const struct i4q_node **ready; /* nodes that wait for nothing: those before `done` have been computed */
    size_t n_ready, done;
};

typedef void each_fn(struct sorter *sorter, const struct i4q_node *node);

/* Calls `each` for the nodes that read what `node` makes, once for each time; for one in a body it is the
 * node beside `node` that holds the body. */
static void each_reader(struct sorter *sorter, const struct i4q_node *node, each_fn *each)
{
    for (size_t i = 0; i < node->proto->n_output; i++) {
        const struct i4q_value *value = i4q_scope_resolve(node->scope, node->proto->output[i]);
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
        sorter->ready[sorter->n_ready++] = reader;
}

static void compute_all(struct sorter *sorter, const struct i4q_model *model)
{
    for (const struct i4q_node *node = model->nodes; node; node = node->next)
        each_reader(sorter, node, wait_more);
    for (const struct i4q_node *node = model->nodes; node; node = node->next)
        if (!sorter->waits[node->index])
            sorter->ready[sorter->n_ready++] = node;
    while (sorter->done < sorter->n_ready)
        each_reader(sorter, sorter->ready[sorter->done++], wait_less);
}

static bool refuse(const struct sorter *sorter, const struct i4q_model *model, struct i4q_error *error)
{
    const struct i4q_node *node = model->nodes;
    while (!sorter->waits[node->index])
        node = node->next;
    return i4q_fail(error, I4Q_MODEL,
                    "node '%s' (%s): it is in a cycle, or behind one: %zu of %u nodes wait for each other",
                    i4q_node_label(node->proto), i4q_text(node->proto->op_type),
                    model->n_nodes - sorter->done, (unsigned)model->n_nodes);
}

bool i4q_model_check_order(const struct i4q_model *model, struct i4q_error *error)
{
    struct sorter sorter = {0};
    struct i4q_arena arena;
    i4q_arena_init(&arena, model->arena.limit);
    sorter.waits = i4q_arena_alloc(&arena, model->n_nodes, sizeof *sorter.waits);
    sorter.ready = i4q_arena_alloc(&arena, model->n_nodes, sizeof *sorter.ready);
    bool ok = sorter.waits && sorter.ready;
    if (ok)
        compute_all(&sorter, model);
    else
        i4q_fail_memory(error);
    ok = ok && (sorter.done == model->n_nodes || refuse(&sorter, model, error));
    i4q_arena_free(&arena);
    return ok;
}

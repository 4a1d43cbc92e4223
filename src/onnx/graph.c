// SPDX-License-Identifier: Apache-2.0
#include "onnx/graph.h"

#include <inttypes.h>

#define ATTRIBUTE_TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

struct indexer {
    struct i4q_arena *arena;
    struct i4q_graph *graph;
    struct i4q_scope **last_scope;
    const struct i4q_node **last_node;
    struct i4q_error *error;
};

static bool take_name(struct indexer *indexer, const char *name)
{
    void **taken = *i4q_text(name) ? i4q_table_at(&indexer->graph->names, name) : (void *[]){NULL};
    if (!taken)
        return i4q_fail_memory(indexer->error);
    if (!*taken)
        *taken = (void *)1;
    return true;
}

/* The value `name` of this very scope, made when it is new. */
static struct i4q_value *value_at(struct indexer *indexer, struct i4q_scope *scope, const char *name)
{
    bool is_main = scope == indexer->graph->scopes;
    void **slot = is_main || take_name(indexer, name) ? i4q_table_at(&scope->values, name) : NULL;
    if (!slot) {
        i4q_fail_memory(indexer->error);
        return NULL;
    }
    struct i4q_value *value = *slot;
    if (value)
        return value;
    value = i4q_arena_alloc(indexer->arena, 1, sizeof *value);
    if (!value) {
        i4q_fail_memory(indexer->error);
        return NULL;
    }
    *value = (struct i4q_value){
        .name = name, .scope = scope, .index = indexer->graph->n_values++, .last_use = &value->uses};
    *slot = value;
    return value;
}

static bool defined_twice(struct indexer *indexer, const char *what, const char *name)
{
    return i4q_fail(indexer->error, I4Q_MODEL, "two %s are named '%s'", what, name);
}

static bool index_initializers(struct indexer *indexer, struct i4q_scope *scope,
                               const Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const char *name = i4q_text(graph->initializer[i]->name);
        struct i4q_value *value = value_at(indexer, scope, name);
        if (!value)
            return false;
        if (value->initializer)
            return defined_twice(indexer, "initializers", name);
        value->initializer = graph->initializer[i];
        value->is_constant = true;
    }
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = graph->sparse_initializer[i]->values;
        const char *name = values ? i4q_text(values->name) : "";
        struct i4q_value *value = value_at(indexer, scope, name);
        if (!value)
            return false;
        if (value->initializer || value->sparse)
            return defined_twice(indexer, "initializers", name);
        value->sparse = graph->sparse_initializer[i];
        value->is_constant = true;
    }
    return true;
}

/* graph.input, graph.output and value_info all tell the types of values. */
static bool index_types(struct indexer *indexer, struct i4q_scope *scope, Onnx__ValueInfoProto *const *infos,
                        size_t n, bool inputs, bool outputs)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = i4q_text(infos[i]->name);
        /* value_info and outputs of a body may speak of a value of an enclosing graph; inputs are its own. */
        struct i4q_value *value = inputs ? NULL : i4q_scope_resolve(scope, name);
        if (!value)
            value = value_at(indexer, scope, name);
        if (!value)
            return false;
        value->is_input |= inputs;
        value->is_output |= outputs;
        if (infos[i]->type && (!value->type || value->scope == scope))
            value->type = infos[i]->type;
    }
    return true;
}

static bool index_outputs(struct indexer *indexer, struct i4q_scope *scope, const struct i4q_node *node)
{
    for (size_t i = 0; i < node->proto->n_output; i++) {
        const char *name = node->proto->output[i];
        if (!*name)
            continue;
        struct i4q_value *value = value_at(indexer, scope, name);
        if (!value)
            return false;
        if (value->producer || value->initializer || value->sparse || value->is_input)
            return defined_twice(indexer, "values", name);
        value->producer = node;
    }
    return take_name(indexer, node->proto->name);
}

/* All nodes of a scope, before any of their inputs: files need not be sorted. */
static bool index_nodes(struct indexer *indexer, struct i4q_scope *scope, Onnx__NodeProto **protos, size_t n)
{
    scope->nodes = i4q_arena_alloc(indexer->arena, n, sizeof *scope->nodes);
    if (!scope->nodes)
        return i4q_fail_memory(indexer->error);
    scope->n_nodes = n;
    for (size_t i = 0; i < n; i++) {
        scope->nodes[i] = (struct i4q_node){.proto = protos[i], .scope = scope};
        if (!index_outputs(indexer, scope, &scope->nodes[i]))
            return false;
    }
    return true;
}

static bool index_inputs(struct indexer *indexer, const struct i4q_node *node)
{
    for (size_t i = 0; i < node->proto->n_input; i++) {
        const char *name = node->proto->input[i];
        struct i4q_value *value = *name ? i4q_scope_resolve(node->scope, name) : NULL;
        if (!value)
            continue;
        struct i4q_use *use = i4q_arena_alloc(indexer->arena, 1, sizeof *use);
        if (!use)
            return i4q_fail_memory(indexer->error);
        *use = (struct i4q_use){.node = node, .input = i};
        *value->last_use = use;
        value->last_use = &use->next;
    }
    return true;
}

static bool index_graph(struct indexer *indexer, const struct i4q_node *holder, Onnx__GraphProto *graph);

/* A graph in an attribute of another type would go unnoticed with the attribute, when an upgrade rule takes
 * that for what it says it is. Old files tell no types. */
static bool check_body(struct indexer *indexer, const Onnx__NodeProto *node,
                       const Onnx__AttributeProto *attribute)
{
    bool has_graph = attribute->g || attribute->n_graphs;
    return !has_graph || !attribute->type || attribute->type == ATTRIBUTE_TYPE(GRAPH) ||
           attribute->type == ATTRIBUTE_TYPE(GRAPHS) ||
           i4q_fail(indexer->error, I4Q_MODEL, "node '%s': its attribute '%s' holds a graph, but has type %d",
                    i4q_text(node->name), i4q_text(attribute->name), (int)attribute->type);
}

static bool index_bodies(struct indexer *indexer, const struct i4q_node *node)
{
    for (size_t a = 0; a < node->proto->n_attribute; a++) {
        Onnx__AttributeProto *attribute = node->proto->attribute[a];
        if (!check_body(indexer, node->proto, attribute))
            return false;
        if (attribute->g && !index_graph(indexer, node, attribute->g))
            return false;
        for (size_t i = 0; i < attribute->n_graphs; i++)
            if (!index_graph(indexer, node, attribute->graphs[i]))
                return false;
    }
    return true;
}

static bool index_uses(struct indexer *indexer, struct i4q_scope *scope)
{
    for (size_t i = 0; i < scope->n_nodes; i++) {
        struct i4q_node *node = &scope->nodes[i];
        *indexer->last_node = node;
        indexer->last_node = &node->next;
        node->index = indexer->graph->n_nodes++;
        if (!index_inputs(indexer, node) || !index_bodies(indexer, node))
            return false;
    }
    return true;
}

static struct i4q_scope *add_scope(struct indexer *indexer, const struct i4q_node *holder)
{
    struct i4q_scope *scope = i4q_arena_alloc(indexer->arena, 1, sizeof *scope);
    if (!scope) {
        i4q_fail_memory(indexer->error);
        return NULL;
    }
    scope->holder = holder;
    scope->parent = holder ? holder->scope : NULL;
    scope->index = indexer->graph->n_scopes++;
    i4q_table_init(&scope->values, indexer->arena);
    *indexer->last_scope = scope;
    indexer->last_scope = &scope->next;
    return scope;
}

/* Recursion through bodies is as deep as the wire pass allowed. */
static bool index_graph(struct indexer *indexer, const struct i4q_node *holder, Onnx__GraphProto *graph)
{
    struct i4q_scope *scope = add_scope(indexer, holder);
    if (!scope)
        return false;
    scope->graph = graph;
    if (!index_initializers(indexer, scope, graph) ||
        !index_types(indexer, scope, graph->input, graph->n_input, true, false))
        return false;
    return index_nodes(indexer, scope, graph->node, graph->n_node) &&
           index_types(indexer, scope, graph->value_info, graph->n_value_info, false, false) &&
           index_types(indexer, scope, graph->output, graph->n_output, false, true) &&
           index_uses(indexer, scope);
}

static bool index_function(struct indexer *indexer, Onnx__FunctionProto *function)
{
    struct i4q_scope *scope = add_scope(indexer, NULL);
    if (!scope)
        return false;
    scope->function = function;
    for (size_t i = 0; i < function->n_input; i++) {
        struct i4q_value *value = value_at(indexer, scope, function->input[i]);
        if (!value)
            return false;
        value->is_input = true;
    }
    return index_nodes(indexer, scope, function->node, function->n_node) &&
           index_types(indexer, scope, function->value_info, function->n_value_info, false, false) &&
           index_uses(indexer, scope);
}

bool i4q_graph_index(struct i4q_arena *arena, const Onnx__ModelProto *proto, struct i4q_graph *graph,
                     struct i4q_error *error)
{
    struct indexer indexer = {arena, graph, &graph->scopes, &graph->nodes, error};
    *graph = (struct i4q_graph){0};
    i4q_table_init(&graph->names, arena);
    i4q_table_init(&graph->new_names, arena);
    if (!index_graph(&indexer, NULL, proto->graph))
        return false;
    for (size_t i = 0; i < proto->n_functions; i++)
        if (!index_function(&indexer, proto->functions[i]))
            return false;
    return true;
}

struct i4q_value *i4q_scope_resolve(const struct i4q_scope *scope, const char *name)
{
    for (; scope; scope = scope->parent) {
        struct i4q_value *value = i4q_table_get(&scope->values, name);
        if (value)
            return value;
    }
    return NULL;
}

bool i4q_has_input(const struct i4q_node *node, size_t input)
{
    return input < node->proto->n_input && *node->proto->input[input];
}

struct i4q_value *i4q_input_value(const struct i4q_node *node, size_t input)
{
    return i4q_has_input(node, input) ? i4q_scope_resolve(node->scope, node->proto->input[input]) : NULL;
}

struct i4q_value *i4q_output_value(const struct i4q_node *node, size_t output)
{
    const Onnx__NodeProto *proto = node->proto;
    return output < proto->n_output ? i4q_table_get(&node->scope->values, proto->output[output]) : NULL;
}

struct i4q_value *i4q_sole_output(const struct i4q_node *node)
{
    return node->proto->n_output == 1 ? i4q_output_value(node, 0) : NULL;
}

const Onnx__TypeProto__Tensor *i4q_tensor_type(const Onnx__TypeProto *type)
{
    return type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? type->tensor_type : NULL;
}

struct i4q_value *i4q_value_operand(const struct i4q_value *value)
{
    return value->producer ? i4q_input_value(value->producer, 0) : NULL;
}

const struct i4q_node *i4q_sole_producer(const struct i4q_value *value)
{
    const struct i4q_node *node = value ? value->producer : NULL;
    return node && node->proto->n_output == 1 ? node : NULL;
}

Onnx__TensorProto *i4q_value_tensor(const struct i4q_value *value)
{
    if (value->initializer || !value->producer || !i4q_node_is(value->producer->proto, "Constant"))
        return value->initializer;
    /* A Constant has one attribute and one output. One with more could not just be replaced. */
    const Onnx__NodeProto *node = value->producer->proto;
    const Onnx__AttributeProto *attribute =
        node->n_attribute == 1 && node->n_output == 1 ? i4q_node_attribute(node, "value") : NULL;
    return attribute ? attribute->t : NULL;
}

/* 0: the name is free, n: it is taken, and base_n is the next to try. */
static uintptr_t next_suffix(const struct i4q_graph *graph, const char *name)
{
    void *given = i4q_table_get(&graph->new_names, name);
    given = given ? given : i4q_table_get(&graph->names, name);
    return given ? (uintptr_t)given : i4q_table_get(&graph->scopes->values, name) != NULL;
}

static bool take(struct i4q_graph *graph, const char *name, uintptr_t suffix)
{
    void **slot = i4q_table_at(&graph->new_names, name);
    if (slot)
        *slot = (void *)suffix;
    return slot != NULL;
}

char *i4q_graph_new_name(struct i4q_graph *graph, const char *base)
{
    char *name = (char *)base;
    uintptr_t suffix = next_suffix(graph, base);
    if (!suffix)
        return take(graph, base, 1) ? name : NULL;
    while (name && next_suffix(graph, name))
        name = i4q_arena_format(graph->new_names.arena, "%s_%" PRIuPTR, base, suffix++);
    return name && take(graph, name, 1) && take(graph, base, suffix) ? name : NULL;
}

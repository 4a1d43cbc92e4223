// SPDX-License-Identifier: Apache-2.0
#include "forms/nbits_expand.h"

#include "forms/nbits_node.h"
#include "base/checked.h"
#include "forms/nbits_steps.h"
#include "forms/recognise.h"
#include "onnx/edit.h"
#include "onnx/tensor.h"

#include <string.h>

static const char *const suffixes[] = {"_quantized", "_packed"};

/* One node on its way. */
struct expansion {
    struct i4q_model *model;
    struct i4q_table *spreads;
    struct i4q_table weights; /* of the graph: name of the codes -> that of what they decode to */
    struct i4q_list front;    /* Onnx__NodeProto: the decoders of the graph */
    struct i4q_list nodes;    /* all others */
    const Onnx__NodeProto *node;
    struct i4q_fusion fusion;
    bool failed; /* sticky: memory ran out */
};

static char *new_name(struct expansion *e, const char *base, const char *suffix)
{
    char *text = i4q_arena_format(&e->model->arena, "%s%s", base, suffix);
    char *name = text ? i4q_graph_new_name(&e->model->graph, text) : NULL;
    e->failed |= !name;
    return name;
}

/* A node <label>_<op>. */
static Onnx__NodeProto *add(struct expansion *e, struct i4q_list *list, const char *op, const char *name,
                            const char *const *inputs, size_t n, const char *output)
{
    Onnx__NodeProto *node = e->failed ? NULL : i4q_edit_node(e->model, op, name, inputs, n, &output, 1);
    e->failed |= !node || !i4q_list_add(&e->model->arena, list, node);
    return e->failed ? NULL : node;
}

static const Onnx__AttributeProto *attribute(const struct expansion *e, const char *name)
{
    return i4q_node_attribute(e->node, name);
}

static void set_int(struct expansion *e, Onnx__NodeProto *node, const char *name, int64_t value)
{
    e->failed |= !node || !i4q_edit_add_int(e->model, node, name, value);
}

static void set_ints(struct expansion *e, Onnx__NodeProto *node, const char *name, const int64_t *values,
                     size_t n)
{
    e->failed |= !node || !i4q_edit_add_ints(e->model, node, name, values, n);
}

/* ---- the weight */

/* Where the name ends without the suffix; NULL: it does not have it. */
static const char *find_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    bool ours = length > tail && strcmp(name + length - tail, suffix) == 0;
    return ours ? name + length - tail : NULL;
}

/* W of W_quantized or W_packed. */
static const char *weight_name(struct expansion *e, const char *codes)
{
    const char *end = NULL;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && !end; i++)
        end = find_suffix(codes, suffixes[i]);
    char *base = end ? i4q_arena_format(&e->model->arena, "%.*s", (int)(end - codes), codes) : NULL;
    return end && !base ? (e->failed = true, "") : new_name(e, end ? base : codes, end ? "" : "_weight");
}

/* A tensor of the same name with each code of the stream as a byte, in the weight's shape; NULL: the stream
 * has another length, or memory ran out. */
static Onnx__TensorProto *unpack(struct expansion *e, const struct i4q_format *format,
                                 const Onnx__TensorProto *stream)
{
    const Onnx__AttributeProto *shape = attribute(e, "weight_shape");
    struct i4q_view bytes;
    struct i4q_error ignored = {0};
    size_t count = 1;
    for (size_t i = 0; i < shape->n_ints; i++)
        if (shape->ints[i] < 1 || !i4q_mul_size(count, (size_t)shape->ints[i], &count))
            return NULL;
    if (!i4q_tensor_payload(&e->model->arena, stream, &bytes, &ignored) ||
        bytes.size != i4q_format_bytes(format, count))
        return NULL;
    uint8_t *codes = i4q_arena_alloc(&e->model->arena, count, 1);
    e->failed |= !codes;
    for (size_t i = 0; codes && i < count; i++)
        codes[i] = (uint8_t)i4q_format_load(format, bytes.data, i);
    return codes ? i4q_edit_tensor(e->model, stream->name, stream->data_type, shape->ints, shape->n_ints,
                                   codes, count)
                 : NULL;
}

static void note_spread(struct expansion *e, const struct i4q_format *format, const Onnx__TensorProto *tensor)
{
    struct i4q_nbits_spread *spread = i4q_arena_alloc(&e->model->arena, 1, sizeof *spread);
    void **slot = spread ? i4q_table_at(e->spreads, tensor->name) : NULL;
    e->failed |= !slot;
    if (slot) {
        *spread = (struct i4q_nbits_spread){tensor, format};
        *slot = spread;
    }
}

/* Puts elements of their own in the place of a stream of codes; false where it is none of this graph's. */
static bool spread_codes(struct expansion *e, const struct i4q_node *node, Onnx__GraphProto *graph)
{
    const struct i4q_format *format = i4q_nbits_stream(node);
    if (!format || i4q_table_get(&e->weights, e->node->input[I4Q_NBITS_CODES]))
        return true;
    const Onnx__TensorProto *stream = i4q_input_tensor(node, I4Q_NBITS_CODES);
    size_t i = 0;
    while (i < graph->n_initializer && graph->initializer[i] != stream)
        i++;
    Onnx__TensorProto *made = i < graph->n_initializer ? unpack(e, format, stream) : NULL;
    if (made) {
        graph->initializer[i] = made;
        note_spread(e, format, made);
    }
    return made;
}

/* Blocks lie in a matrix, which takes its shape back. */
static void add_reshape(struct expansion *e, const char *codes, const char *matrix, const char *weight)
{
    const Onnx__AttributeProto *shape = attribute(e, "weight_shape");
    const char *name = new_name(e, codes, "_shape"), *node_name = new_name(e, codes, "_Reshape");
    const int64_t rank = (int64_t)shape->n_ints;
    Onnx__NodeProto *constant = add(e, &e->front, "Constant", NULL, NULL, 0, name);
    Onnx__TensorProto *tensor = i4q_edit_tensor(e->model, "", ONNX__TENSOR_PROTO__DATA_TYPE__INT64, &rank, 1,
                                                shape->ints, shape->n_ints * sizeof *shape->ints);
    e->failed |= !constant || !tensor || !i4q_edit_add_tensor(e->model, constant, "value", tensor);
    add(e, &e->front, "Reshape", node_name, (const char *[]){matrix, name}, 2, weight);
}

/* The decoder of a weight, made for the first node that reads the codes. */
static const char *decode(struct expansion *e)
{
    const char *codes = e->node->input[I4Q_NBITS_CODES];
    const Onnx__AttributeProto *axis = attribute(e, "axis"), *block = attribute(e, "block_size");
    void **slot = i4q_table_at(&e->weights, codes);
    e->failed |= !slot;
    if (e->failed || *slot)
        return e->failed ? "" : *slot;
    bool blocked = block && block->i;
    const char *weight = weight_name(e, codes), *output = blocked ? new_name(e, codes, "_blocked") : weight;
    Onnx__NodeProto *node = add(e, &e->front, "DequantizeLinear", new_name(e, codes, "_DequantizeLinear"),
                                (const char *const *)&e->node->input[I4Q_NBITS_CODES], 3, output);
    set_int(e, node, "axis", axis ? axis->i : 0);
    if (blocked) {
        set_int(e, node, "block_size", block->i);
        add_reshape(e, codes, output, weight);
    }
    *slot = (void *)weight;
    return weight;
}

/* ---- Conv and activation */

/* What a name of the steps is called here. */
static const char *step_value(struct expansion *e, const char *name, const char *conv,
                              const char *const *outputs, const struct i4q_nbits_step *steps)
{
    if (strcmp(name, "C") == 0)
        return conv;
    size_t i = 0;
    while (strcmp(steps[i].output, name) != 0)
        i++;
    return outputs[i];
}

static void add_step(struct expansion *e, const struct i4q_nbits_step *steps, size_t i, const char *conv,
                     const char *const *outputs)
{
    const struct i4q_nbits_step *step = &steps[i];
    const char *inputs[3], *label = i4q_text(e->node->name);
    size_t n = i4q_nbits_count_inputs(step);
    for (size_t k = 0; k < n; k++)
        inputs[k] = step_value(e, step->inputs[k], conv, outputs, steps);
    const char *suffix = i4q_arena_format(&e->model->arena, "_%s", step->op);
    const char *name = suffix ? new_name(e, label, suffix) : NULL;
    Onnx__NodeProto *node = name ? add(e, &e->nodes, step->op, name, inputs, n, outputs[i]) : NULL;
    e->failed |= !node;
    for (size_t k = 0; !e->failed && k < 4 && step->references[k].name; k++) {
        bool is_alpha = strcmp(step->references[k].source, "alpha") == 0;
        e->failed |= !i4q_edit_add_float(e->model, node, step->references[k].name,
                                         is_alpha ? e->fusion.alpha : e->fusion.beta);
    }
}

static void add_activation(struct expansion *e, const char *conv)
{
    const struct i4q_nbits_step *steps = i4q_nbits_activations[e->fusion.activation];
    size_t n = i4q_nbits_count_steps(e->fusion.activation);
    const char *outputs[I4Q_NBITS_STEPS];
    for (size_t i = 0; i < n; i++) {
        const char *suffix = i4q_arena_format(&e->model->arena, "_%s", steps[i].output);
        outputs[i] = i + 1 == n ? e->fusion.output
                     : suffix   ? new_name(e, i4q_text(e->node->name), suffix)
                                : NULL;
        e->failed |= !outputs[i];
    }
    for (size_t i = 0; i < n && !e->failed; i++)
        add_step(e, steps, i, conv, outputs);
}

static void expand_node(struct expansion *e)
{
    const struct i4q_fusion *fusion = &e->fusion;
    const char *bias = e->node->n_input > I4Q_NBITS_BIAS ? i4q_text(e->node->input[I4Q_NBITS_BIAS]) : "";
    const char *inputs[] = {e->node->input[I4Q_NBITS_X], decode(e), bias};
    const char *output =
        fusion->activation ? new_name(e, i4q_text(e->node->name), "_output") : fusion->output;
    Onnx__NodeProto *conv = add(e, &e->nodes, "Conv", e->node->name, inputs, *bias ? 3 : 2, output);
    set_ints(e, conv, "dilations", fusion->dilations, fusion->dimensions);
    set_int(e, conv, "group", fusion->group);
    set_ints(e, conv, "pads", fusion->pads, 2 * fusion->dimensions);
    set_ints(e, conv, "strides", fusion->strides, fusion->dimensions);
    if (fusion->activation)
        add_activation(e, output);
}

/* ---- the model */

static bool expand_graph(struct i4q_model *model, const struct i4q_scope *scope, struct i4q_table *spreads)
{
    Onnx__GraphProto *graph = scope->graph;
    struct expansion e = {.model = model, .spreads = spreads};
    i4q_table_init(&e.weights, &model->arena);
    for (size_t i = 0; i < graph->n_node && !e.failed; i++) {
        const struct i4q_node node = {.proto = graph->node[i], .scope = (struct i4q_scope *)scope};
        e.node = graph->node[i];
        if (i4q_nbits_is(e.node) && e.node->n_input > I4Q_NBITS_ZERO_POINTS &&
            i4q_nbits_read(&node, &e.fusion) && spread_codes(&e, &node, graph))
            expand_node(&e);
        else
            e.failed |= !i4q_list_add(&model->arena, &e.nodes, graph->node[i]);
    }
    for (size_t i = 0; i < e.nodes.count && !e.failed; i++)
        e.failed |= !i4q_list_add(&model->arena, &e.front, e.nodes.items[i]);
    graph->node = (Onnx__NodeProto **)e.front.items;
    graph->n_node = e.front.count;
    return !e.failed;
}

static void drop_function(Onnx__ModelProto *proto)
{
    size_t kept = 0;
    for (size_t i = 0; i < proto->n_functions; i++) {
        const Onnx__FunctionProto *function = proto->functions[i];
        if (strcmp(i4q_text(function->domain), i4q_nbits_domain) != 0 ||
            strcmp(i4q_text(function->name), i4q_nbits_op) != 0)
            proto->functions[kept++] = proto->functions[i];
    }
    proto->n_functions = kept;
}

static bool has_nodes(const struct i4q_model *model)
{
    const struct i4q_node *node = model->graph.nodes;
    while (node && !i4q_nbits_is(node->proto))
        node = node->next;
    return node != NULL;
}

bool i4q_nbits_expand(struct i4q_model *model, struct i4q_table *spreads, struct i4q_error *error)
{
    if (!has_nodes(model))
        return true;
    for (struct i4q_scope *scope = model->graph.scopes; scope; scope = scope->next)
        if (scope->graph && !expand_graph(model, scope, spreads))
            return i4q_fail_memory(error);
    if (!i4q_model_index(model, error))
        return false;
    if (!has_nodes(model))
        drop_function(model->proto);
    return i4q_model_index(model, error);
}

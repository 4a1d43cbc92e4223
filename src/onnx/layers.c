// SPDX-License-Identifier: Apache-2.0
#include "onnx/layers.h"

#include <stdio.h>
#include <string.h>

static const struct i4q_conv_op op_table[] = {
    {.op_type = "Conv", .weight_input = 1, .channel_axis = 0, .least_rank = 3, .is_conv = true},
    {.op_type = "ConvInteger",
     .weight_input = 1,
     .zero_input = 3,
     .channel_axis = 0,
     .least_rank = 3,
     .integer = true},
    {.op_type = "QLinearConv",
     .weight_input = 3,
     .scale_input = 4,
     .zero_input = 5,
     .channel_axis = 0,
     .least_rank = 3,
     .integer = true},
    {.domain = "com.int4q",
     .op_type = "ConvNBits",
     .weight_input = 1,
     .scale_input = 2,
     .zero_input = 3,
     .channel_axis = 0,
     .least_rank = 3,
     .integer = true},
    {.op_type = "ConvTranspose", .weight_input = 1, .channel_axis = 1, .least_rank = 3},
    {.op_type = "Gemm",
     .weight_input = 1,
     .channel_axis = 1,
     .least_rank = 2,
     .greatest_rank = 2,
     .transposed = "transB",
     .is_factor = true},
    {.op_type = "Gemm",
     .weight_input = 0,
     .channel_axis = 0,
     .least_rank = 2,
     .greatest_rank = 2,
     .transposed = "transA",
     .is_factor = true},
    {.op_type = "MatMul",
     .weight_input = 1,
     .channel_axis = 1,
     .least_rank = 2,
     .greatest_rank = 2,
     .is_factor = true},
    {.op_type = "MatMul",
     .weight_input = 0,
     .channel_axis = 0,
     .least_rank = 2,
     .greatest_rank = 2,
     .is_factor = true},
    {.op_type = "Conv", .weight_input = 1, .least_rank = 3, .is_foreign = true},
    {.op_type = "FusedConv", .weight_input = 1, .least_rank = 3, .is_foreign = true},
    {.op_type = "NhwcFusedConv", .weight_input = 1, .least_rank = 3, .is_foreign = true},
    {.op_type = "QLinearConv",
     .weight_input = 3,
     .scale_input = 4,
     .zero_input = 5,
     .least_rank = 3,
     .integer = true,
     .is_foreign = true},
};

enum { N_OPS = sizeof op_table / sizeof *op_table };

/* Steps through nodes towards the source of a weight; a longer chain counts as computed. */
enum { MAX_CHAIN = 64 };

/* ---- the table */

static bool is_op(const struct i4q_conv_op *op, const Onnx__NodeProto *node)
{
    if (!op->is_foreign)
        return i4q_node_is_of(node, op->domain, op->op_type);
    return strcmp(i4q_text(node->op_type), op->op_type) == 0 && !i4q_is_standard_domain(node->domain);
}

static bool reads_constant(const struct i4q_node *node, size_t input)
{
    const struct i4q_value *value = i4q_input_value(node, input);
    return value && value->is_constant;
}

/* Of two rows for the two factors of one operator, the first whose factor is constant. */
static const struct i4q_conv_op *find_op(unsigned ops, const struct i4q_node *node)
{
    for (size_t i = 0; i < N_OPS; i++) {
        const struct i4q_conv_op *op = &op_table[i];
        if ((ops >> i & 1) && is_op(op, node->proto) &&
            (!op->is_factor || reads_constant(node, op->weight_input)))
            return op;
    }
    return NULL;
}

unsigned i4q_ops_all(void)
{
    return (1u << N_OPS) - 1;
}

unsigned i4q_ops_conv(void)
{
    unsigned ops = 0;
    for (size_t i = 0; i < N_OPS; i++)
        ops |= (unsigned)op_table[i].is_conv << i;
    return ops;
}

unsigned i4q_ops_beside(unsigned ops)
{
    unsigned beside = 0;
    for (size_t i = 0; i < N_OPS; i++) {
        bool foreign = op_table[i].is_foreign && (ops & i4q_ops_conv());
        beside |= (unsigned)(op_table[i].integer || foreign) << i;
    }
    return beside;
}

static bool can_be_named(size_t i)
{
    return !op_table[i].integer && !op_table[i].is_foreign;
}

static bool is_named_before(size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(op_table[k].op_type, op_table[i].op_type) == 0)
            return true;
    return false;
}

bool i4q_ops_have(unsigned ops, const struct i4q_conv_op *op)
{
    return ops >> (op - op_table) & 1;
}

const char *i4q_conv_op_word(size_t index)
{
    for (size_t i = 0; i < N_OPS; i++)
        if (can_be_named(i) && !is_named_before(i) && index-- == 0)
            return op_table[i].op_type;
    return NULL;
}

unsigned i4q_conv_op_bits(const char *op_type)
{
    unsigned ops = 0;
    for (size_t i = 0; i < N_OPS; i++)
        ops |= (unsigned)(can_be_named(i) && strcmp(op_table[i].op_type, op_type) == 0) << i;
    return ops;
}

/* ---- nodes and their weights */

static size_t channel_axis(const struct i4q_conv_op *op, const Onnx__NodeProto *node)
{
    const Onnx__AttributeProto *transposed = op->transposed ? i4q_node_attribute(node, op->transposed) : NULL;
    return transposed && transposed->i ? 1 - op->channel_axis : op->channel_axis;
}

bool i4q_conv_reads_weight(unsigned ops, const Onnx__NodeProto *node, size_t input, size_t axis)
{
    for (size_t i = 0; i < N_OPS; i++) {
        const struct i4q_conv_op *op = &op_table[i];
        if ((ops >> i & 1) && is_op(op, node) && !op->integer && op->weight_input == input &&
            channel_axis(op, node) == axis)
            return true;
    }
    return false;
}

const char *i4q_conv_op_name(const struct i4q_conv *conv, char *buffer, size_t size)
{
    if (!conv->op->is_foreign)
        return conv->op->op_type;
    snprintf(buffer, size, "%s::%s", i4q_text(conv->node->proto->domain), conv->op->op_type);
    return buffer;
}

struct i4q_value *i4q_value_behind_identities(struct i4q_value *value)
{
    for (int i = 0; i < MAX_CHAIN && value->producer && i4q_node_is(value->producer->proto, "Identity");
         i++) {
        struct i4q_value *operand = i4q_value_operand(value);
        if (!operand)
            break;
        value = operand;
    }
    return value;
}

static void classify(struct i4q_conv *conv)
{
    const struct i4q_value *weight = conv->weight;
    conv->tensor = i4q_value_tensor(weight);
    bool sparse_constant = weight->producer && i4q_node_is(weight->producer->proto, "Constant") &&
                           i4q_node_attribute(weight->producer->proto, "sparse_value");
    conv->source = conv->tensor                        ? I4Q_SOURCE_STORED
                   : weight->sparse || sparse_constant ? I4Q_SOURCE_SPARSE
                   : weight->producer                  ? I4Q_SOURCE_COMPUTED
                                                       : I4Q_SOURCE_INPUT;
}

static bool find_weight(struct i4q_conv *conv, struct i4q_error *error)
{
    const Onnx__NodeProto *node = conv->node->proto;
    if (!i4q_has_input(conv->node, conv->op->weight_input))
        return i4q_fail(error, I4Q_MODEL, "node '%s' (%s): it has no weight", i4q_node_label(node),
                        node->op_type);
    struct i4q_value *value = i4q_input_value(conv->node, conv->op->weight_input);
    if (value)
        value = i4q_value_behind_identities(value);
    if (!value || !(value->initializer || value->sparse || value->producer || value->is_input))
        return i4q_fail(error, I4Q_MODEL, "node '%s' (%s): nothing defines its weight '%s'",
                        i4q_node_label(node), node->op_type, node->input[conv->op->weight_input]);
    conv->weight = value;
    classify(conv);
    return true;
}

/* Whether the node is part of what one of the operators is for runtimes that do not know it. */
static bool is_body_of_op(const struct i4q_node *node)
{
    const struct i4q_scope *scope = node->scope;
    while (scope->parent)
        scope = scope->parent;
    for (size_t i = 0; scope->function && i < N_OPS; i++)
        if (op_table[i].domain && strcmp(i4q_text(scope->function->domain), op_table[i].domain) == 0 &&
            strcmp(i4q_text(scope->function->name), op_table[i].op_type) == 0)
            return true;
    return false;
}

/* Whether the node is none of the operator after all: a call of a function of the model, or of an operator of
 * that name without a weight. */
static bool only_looks_like(const struct i4q_model *model, const struct i4q_conv_op *op,
                            const struct i4q_node *node)
{
    const Onnx__NodeProto *call = node->proto;
    for (size_t i = 0; op->is_foreign && i < model->proto->n_functions; i++) {
        const Onnx__FunctionProto *function = model->proto->functions[i];
        if (strcmp(i4q_text(function->name), call->op_type) == 0 &&
            strcmp(i4q_text(function->domain), i4q_text(call->domain)) == 0)
            return true;
    }
    return op->is_foreign && !reads_constant(node, op->weight_input);
}

bool i4q_layers_find(struct i4q_model *model, unsigned ops, struct i4q_conv **convs, size_t *count,
                     struct i4q_error *error)
{
    size_t n = 0;
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next)
        n += find_op(ops, node) != NULL;
    *convs = i4q_arena_alloc(&model->arena, n, sizeof **convs);
    if (!*convs)
        return i4q_fail_memory(error);
    *count = 0;
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next) {
        struct i4q_conv conv = {.node = node, .op = find_op(ops, node)};
        if (!conv.op || is_body_of_op(node) || only_looks_like(model, conv.op, node))
            continue;
        conv.channel_axis = channel_axis(conv.op, node->proto);
        if (!find_weight(&conv, error))
            return false;
        (*convs)[(*count)++] = conv;
    }
    return true;
}

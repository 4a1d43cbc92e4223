// SPDX-License-Identifier: Apache-2.0
#include "plan/fused_ops.h"

#include "base/elementary.h"

static const struct i4q_fused_op ops[] = {
    {"Conv", false, I4Q_FUSED_MEASURED, false},  {"Add", true, I4Q_FUSED_MEASURED, false},
    {"Concat", true, I4Q_FUSED_MEASURED, false}, {"Mul", true, I4Q_FUSED_MEASURED, true},
    {"Relu", false, I4Q_FUSED_MEASURED, true},   {"LeakyRelu", false, I4Q_FUSED_MEASURED, true},
    {"Sigmoid", false, I4Q_FUSED_UNIT, true},    {"MaxPool", false, I4Q_FUSED_SAME, true},
    {"Resize", false, I4Q_FUSED_SAME, true},     {"Split", false, I4Q_FUSED_SAME, true},
    {"Slice", false, I4Q_FUSED_SAME, true},      {"Reshape", false, I4Q_FUSED_SAME, true},
    {"Transpose", false, I4Q_FUSED_SAME, true},  {"Flatten", false, I4Q_FUSED_SAME, true},
    {"Squeeze", false, I4Q_FUSED_SAME, true},    {"Unsqueeze", false, I4Q_FUSED_SAME, true},
};

const struct i4q_fused_op *i4q_fused_op_find(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (i4q_node_is(node, ops[i].op_type))
            return &ops[i];
    return NULL;
}

size_t i4q_fused_op_operands(const struct i4q_fused_op *op, const Onnx__NodeProto *node)
{
    return op->reads_all || !node->n_input ? node->n_input : 1;
}

/* ---- activations */

static double silu(double x, double ignored)
{
    return x / (1 + i4q_exp(-x));
}

static double leaky_relu(double x, double slope)
{
    return x > 0 ? x : slope * x;
}

/* Whether the two readers are Sigmoid, and Mul of the value by what that gives. */
static bool is_silu(const struct i4q_value *value)
{
    const struct i4q_node *sigmoid = NULL, *mul = NULL;
    for (const struct i4q_use *use = value->uses; use; use = use->next)
        if (i4q_node_is(use->node->proto, "Sigmoid"))
            sigmoid = use->node;
        else if (i4q_node_is(use->node->proto, "Mul") && use->node->proto->n_input == 2)
            mul = use->node;
        else
            return false;
    if (!sigmoid || !mul || !sigmoid->proto->n_output)
        return false;
    const struct i4q_value *gate = i4q_scope_resolve(sigmoid->scope, sigmoid->proto->output[0]);
    return gate && (gate == i4q_scope_resolve(mul->scope, mul->proto->input[0]) ||
                    gate == i4q_scope_resolve(mul->scope, mul->proto->input[1]));
}

i4q_range_behind_fn *i4q_fused_behind(const struct i4q_value *value, double *parameter)
{
    static const double SLOPE = 0.01; /* by default */
    const Onnx__NodeProto *first = value->uses && !value->uses->next ? value->uses->node->proto : NULL;
    if (is_silu(value))
        return silu;
    if (!first || !i4q_node_is(first, "LeakyRelu"))
        return NULL;
    const Onnx__AttributeProto *alpha = i4q_node_attribute(first, "alpha");
    *parameter = alpha ? (double)alpha->f : SLOPE;
    return leaky_relu;
}

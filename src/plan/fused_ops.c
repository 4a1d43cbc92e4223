// SPDX-License-Identifier: Apache-2.0
#include "plan/fused_ops.h"

#include "base/elementary.h"

#include <math.h>

/* Its integer form knows no dilations, and with both of these counts what it pads otherwise. */
static bool is_plain_average(const Onnx__NodeProto *node)
{
    const Onnx__AttributeProto *dilations = i4q_node_attribute(node, "dilations");
    for (size_t i = 0; dilations && i < dilations->n_ints; i++)
        if (dilations->ints[i] != 1)
            return false;
    return !(i4q_node_int(node, "ceil_mode", 0) && i4q_node_int(node, "count_include_pad", 0));
}

/* Indices are no values that codes could stand for. */
static bool has_one_result(const Onnx__NodeProto *node)
{
    return node->n_output == 1;
}

static const struct i4q_fused_op ops[] = {
    {"Conv", false, I4Q_FUSED_MEASURED, false},
    {"Add", true, I4Q_FUSED_MEASURED, false},
    {"Concat", true, I4Q_FUSED_MEASURED, false},
    {"Mul", true, I4Q_FUSED_MEASURED, true},
    {"Relu", false, I4Q_FUSED_MEASURED, true},
    {"LeakyRelu", false, I4Q_FUSED_MEASURED, true},
    {"Clip", false, I4Q_FUSED_MEASURED, true},
    {"HardSwish", false, I4Q_FUSED_MEASURED, true},
    {"Sigmoid", false, I4Q_FUSED_UNIT, true},
    {"HardSigmoid", false, I4Q_FUSED_UNIT, true},
    {"AveragePool", false, I4Q_FUSED_MEASURED, true, is_plain_average},
    {"GlobalAveragePool", false, I4Q_FUSED_MEASURED, true},
    {"MaxPool", false, I4Q_FUSED_SAME, true, has_one_result},
    {"Resize", false, I4Q_FUSED_SAME, true},
    {"Split", false, I4Q_FUSED_SAME, true},
    {"Slice", false, I4Q_FUSED_SAME, true},
    {"Reshape", false, I4Q_FUSED_SAME, true},
    {"Transpose", false, I4Q_FUSED_SAME, true},
    {"Flatten", false, I4Q_FUSED_SAME, true},
    {"Squeeze", false, I4Q_FUSED_SAME, true},
    {"Unsqueeze", false, I4Q_FUSED_SAME, true},
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

bool i4q_fused_op_fits(const struct i4q_node *node)
{
    const struct i4q_fused_op *op = node ? i4q_fused_op_find(node->proto) : NULL;
    return !op || !op->fits || op->fits(node->proto);
}

/* ---- activations */

static double silu(double x, double ignored)
{
    return x / (1 + i4q_exp(-x));
}

static double hard_swish(double x, double ignored)
{
    return x * fmin(fmax(x / 6 + 0.5, 0), 1);
}

static double leaky_relu(double x, double slope)
{
    return x > 0 ? x : slope * x;
}

/* What the product of a value with this gate of it is; NULL: nothing known. */
static i4q_range_behind_fn *gated(const Onnx__NodeProto *gate)
{
    const Onnx__AttributeProto *alpha = i4q_node_attribute(gate, "alpha");
    if (i4q_node_is(gate, "HardSigmoid"))
        return alpha && alpha->f == 1 / 6.0f && !i4q_node_attribute(gate, "beta") ? hard_swish : NULL;
    return i4q_node_is(gate, "Sigmoid") ? silu : NULL;
}

/* Where the two readers are a gate, and Mul of the value by what that gives. */
static i4q_range_behind_fn *behind_gate(const struct i4q_value *value)
{
    const struct i4q_node *gate = NULL, *mul = NULL;
    for (const struct i4q_use *use = value->uses; use; use = use->next)
        if (i4q_node_is(use->node->proto, "Mul") && use->node->proto->n_input == 2)
            mul = use->node;
        else if (use->node->proto->n_output && !gate)
            gate = use->node;
        else
            return NULL;
    const struct i4q_value *made =
        gate && mul ? i4q_scope_resolve(gate->scope, gate->proto->output[0]) : NULL;
    bool is_product = made && (made == i4q_input_value(mul, 0) || made == i4q_input_value(mul, 1));
    return is_product ? gated(gate->proto) : NULL;
}

i4q_range_behind_fn *i4q_fused_behind(const struct i4q_value *value, double *parameter)
{
    static const double SLOPE = 0.01; /* by default */
    const Onnx__NodeProto *first = value->uses && !value->uses->next ? value->uses->node->proto : NULL;
    if (!first)
        return behind_gate(value);
    if (i4q_node_is(first, "HardSwish"))
        return hard_swish;
    if (!i4q_node_is(first, "LeakyRelu"))
        return NULL;
    const Onnx__AttributeProto *alpha = i4q_node_attribute(first, "alpha");
    *parameter = alpha ? (double)alpha->f : SLOPE;
    return leaky_relu;
}

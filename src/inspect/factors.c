// SPDX-License-Identifier: Apache-2.0
#include "inspect/factors.h"

#include "forms/activation_read.h"
#include "onnx/layers.h"

static bool has(const struct i4q_model *reference, const struct i4q_value *value)
{
    return i4q_scope_resolve(reference->graph.scopes, value->name) != NULL;
}

/* Whether one side of the pair, or a Mul in front of it, scales channels. */
static bool has_factors(const struct i4q_activation_pair *pair, const struct i4q_model *reference)
{
    const struct i4q_node *maker = pair->tensor->producer;
    struct i4q_activation_pair scales = *pair;
    scales.decoded_zero_point = scales.zero_point;
    if (pair->flaw || has(reference, pair->result))
        return false;
    bool scaled = maker && i4q_node_is(maker->proto, "Mul") && !has(reference, pair->tensor);
    return scaled || !i4q_activation_is_plain(&scales);
}

const bool *i4q_factors_mark(const struct i4q_inspection *inspection, const struct i4q_model *reference)
{
    struct i4q_model *model = inspection->model;
    bool *marks = i4q_arena_alloc(&model->arena, model->graph.n_values, sizeof *marks);
    for (size_t i = 0; marks && i < inspection->n_activations; i++) {
        const struct i4q_activation_pair *pair = &inspection->activations[i];
        marks[pair->result->index] |= has_factors(pair, reference);
    }
    return marks;
}

bool i4q_factors_meet(const bool *marks, const struct i4q_conv *conv)
{
    const Onnx__NodeProto *node = conv->node->proto;
    const struct i4q_value *input =
        node->n_input ? i4q_scope_resolve(conv->node->scope, node->input[0]) : NULL;
    return input && marks[input->index];
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/activations.h"

#include "forms/origin_quant.h"

bool i4q_has_quantized_activations(const struct i4q_graph *graph)
{
    for (const struct i4q_node *node = graph->nodes; node; node = node->next) {
        const Onnx__NodeProto *proto = node->proto;
        bool quantizes = i4q_is_quant(proto) || i4q_node_is(proto, "QuantizeLinear") ||
                         i4q_node_is(proto, "MultiThreshold");
        const struct i4q_value *input =
            quantizes && proto->n_input ? i4q_scope_resolve(node->scope, proto->input[0]) : NULL;
        if (input && !input->is_constant)
            return true;
    }
    return false;
}

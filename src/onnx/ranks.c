// SPDX-License-Identifier: Apache-2.0
#include "onnx/ranks.h"

#include <string.h>

static int64_t declared(const struct i4q_value *value)
{
    const Onnx__TensorProto *stored = i4q_value_tensor(value);
    const Onnx__TypeProto__Tensor *type = i4q_tensor_type(value->type);
    const Onnx__TensorShapeProto *shape = type ? type->shape : NULL;
    return stored ? (int64_t)stored->n_dims : shape ? (int64_t)shape->n_dim : I4Q_RANK_UNKNOWN;
}

int64_t i4q_rank(const int64_t *ranks, const struct i4q_value *value)
{
    int64_t told = value ? declared(value) : I4Q_RANK_UNKNOWN;
    return value && told == I4Q_RANK_UNKNOWN ? ranks[value->index] : told;
}

/* Ranks of what a node reads, to the rank of what it makes. */
typedef int64_t rule(const int64_t *ranks, const struct i4q_node *node);

static int64_t rank_of(const int64_t *ranks, const struct i4q_node *node, size_t input)
{
    return i4q_rank(ranks, i4q_input_value(node, input));
}

static int64_t of_first(const int64_t *ranks, const struct i4q_node *node)
{
    return rank_of(ranks, node, 0);
}

/* A Conv's weight has as many as what it reads and makes, its window those behind the channels. */
static int64_t of_conv(const int64_t *ranks, const struct i4q_node *node)
{
    const Onnx__AttributeProto *window = i4q_node_attribute(node->proto, "kernel_shape");
    int64_t first = rank_of(ranks, node, 0), weight = rank_of(ranks, node, 1);
    if (first != I4Q_RANK_UNKNOWN)
        return first;
    return window && window->n_ints ? (int64_t)window->n_ints + 2 : weight;
}

/* As many as there are numbers of a shape. */
static int64_t of_shape(const int64_t *ranks, const struct i4q_node *node)
{
    enum { MOST_RANK = 8 }; /* more than any model has; a broken one may claim anything */
    const struct i4q_value *value = i4q_input_value(node, 1);
    const Onnx__TensorProto *shape = value ? i4q_value_tensor(value) : NULL;
    bool sound = shape && shape->n_dims == 1 && shape->dims[0] > 0 && shape->dims[0] <= MOST_RANK;
    return sound ? shape->dims[0] : I4Q_RANK_UNKNOWN;
}

static int64_t of_most(const int64_t *ranks, const struct i4q_node *node)
{
    int64_t most = 0;
    for (size_t i = 0; i < node->proto->n_input; i++) {
        int64_t rank = rank_of(ranks, node, i);
        if (rank == I4Q_RANK_UNKNOWN)
            return rank;
        most = rank > most ? rank : most;
    }
    return most;
}

static int64_t of_matrix(const int64_t *ranks, const struct i4q_node *node)
{
    (void)ranks, (void)node;
    return 2;
}

/* Operators of the standard, and those that quantization-aware training puts between them; in other domains,
 * as that of channels that are last, they mean the same. */
static const struct {
    const char *op;
    rule *rule;
} rules[] = {
    {"Conv", of_conv},
    {"ConvTranspose", of_conv},
    {"BatchNormalization", of_first},
    {"InstanceNormalization", of_first},
    {"MaxPool", of_first},
    {"AveragePool", of_first},
    {"GlobalAveragePool", of_first},
    {"GlobalMaxPool", of_first},
    {"Relu", of_first},
    {"LeakyRelu", of_first},
    {"PRelu", of_first},
    {"Sigmoid", of_first},
    {"HardSigmoid", of_first},
    {"HardSwish", of_first},
    {"Tanh", of_first},
    {"Softmax", of_first},
    {"Clip", of_first},
    {"Round", of_first},
    {"Floor", of_first},
    {"Sign", of_first},
    {"Cast", of_first},
    {"Identity", of_first},
    {"Dropout", of_first},
    {"Transpose", of_first},
    {"Pad", of_first},
    {"Resize", of_first},
    {"Upsample", of_first},
    {"Concat", of_first},
    {"Split", of_first},
    {"Slice", of_first},
    {"QuantizeLinear", of_first},
    {"DequantizeLinear", of_first},
    {"MultiThreshold", of_first},
    {"Add", of_most},
    {"Sub", of_most},
    {"Mul", of_most},
    {"Div", of_most},
    {"Quant", of_most},
    {"IntQuant", of_most},
    {"BipolarQuant", of_most},
    {"Trunc", of_most},
    {"Reshape", of_shape},
    {"Flatten", of_matrix},
    {"Gemm", of_matrix},
};

static int64_t of_outputs(const int64_t *ranks, const struct i4q_node *node)
{
    const char *op = i4q_text(node->proto->op_type);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].op, op) == 0)
            return rules[i].rule(ranks, node);
    return I4Q_RANK_UNKNOWN;
}

const int64_t *i4q_find_ranks(struct i4q_model *model)
{
    const struct i4q_graph *graph = &model->graph;
    int64_t *ranks = i4q_arena_alloc(&model->arena, graph->n_values, sizeof *ranks);
    if (!ranks)
        return NULL;
    for (size_t i = 0; i < graph->n_values; i++)
        ranks[i] = I4Q_RANK_UNKNOWN;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct i4q_node *node = graph->sorted[i];
        int64_t rank = of_outputs(ranks, node);
        for (size_t k = 0; k < node->proto->n_output; k++) {
            const struct i4q_value *value = i4q_output_value(node, k);
            if (value)
                ranks[value->index] = rank;
        }
    }
    return ranks;
}

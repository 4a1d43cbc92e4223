// SPDX-License-Identifier: Apache-2.0
#include "forms/thresholds.h"

#include "forms/finder.h"
#include "forms/origin_quant.h"
#include "forms/recognise.h"

#include <math.h>

enum { MATRIX = 2, MOST_RANK = 8 };

/* How many dimensions thresholds of [channels, n] need between the two: those behind the channels. */
static bool find_gap(const struct i4q_node *node, int64_t rank, size_t *gap)
{
    const struct i4q_value *thresholds = i4q_finder_value(node, 1);
    const Onnx__TensorProto *stored = thresholds ? i4q_value_tensor(thresholds) : NULL;
    const Onnx__AttributeProto *layout = i4q_node_attribute(node->proto, "data_layout");
    bool last = layout && layout->has_s && layout->s.len && layout->s.data[layout->s.len - 1] == 'C';
    *gap = 0;
    if (!stored || !i4q_is_type(stored, I4Q_TYPE(FLOAT)) || stored->n_dims != MATRIX)
        return false;
    if (last || stored->dims[0] == 1)
        return true;
    bool fits = rank >= MATRIX && rank <= MOST_RANK;
    *gap = fits ? (size_t)rank - MATRIX : 0;
    return fits;
}

bool i4q_is_multi_threshold(const Onnx__NodeProto *node)
{
    return i4q_is_quant_op(node, "MultiThreshold");
}

bool i4q_has_thresholds(const struct i4q_node *node, int64_t rank)
{
    size_t gap;
    return i4q_is_multi_threshold(node->proto) && node->proto->n_input == 2 && find_gap(node, rank, &gap);
}

static float number_of(const struct i4q_node *node, const char *name, float otherwise)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node->proto, name);
    return attribute && attribute->has_f ? attribute->f : otherwise;
}

/* Axes as an input; shared by all that have them. */
static const char *axes(struct i4q_emission *emission, int64_t first, size_t n)
{
    struct i4q_arena *arena = &emission->model->arena;
    const int64_t dims[] = {(int64_t)n};
    char *key = i4q_arena_format(arena, "axes %lld %zu", (long long)first, n);
    int64_t *data = i4q_arena_alloc(arena, n, sizeof *data);
    emission->failed |= !key || !data;
    if (emission->failed)
        return "";
    for (size_t i = 0; i < n; i++)
        data[i] = first + (int64_t)i;
    return i4q_emit_shared(emission, key, "axes", I4Q_TYPE(INT64), dims, 1, data, n * sizeof *data);
}

/* The value, or what the operator makes of it and a number; the last one makes the emission's value. */
static const char *apply(struct i4q_emission *emission, const char *op, const char *value, float number,
                         bool is_last)
{
    return i4q_emit_output(i4q_emit_node(emission, op, is_last ? NULL : "scaled", value,
                                         i4q_emit_number(emission, number), NULL));
}

void i4q_emit_thresholds(struct i4q_emission *emission, const struct i4q_node *node, int64_t rank)
{
    char **inputs = node->proto->input;
    const char *thresholds = inputs[1];
    float scale = number_of(node, "out_scale", 1), bias = number_of(node, "out_bias", 0);
    bool scales = fabsf(scale - 1) > 0, moves = fabsf(bias) > 0;
    size_t gap = 0;
    if (find_gap(node, rank, &gap) && gap)
        thresholds = i4q_emit_output(
            i4q_emit_node(emission, "Unsqueeze", "thresholds", thresholds, axes(emission, 1, gap), NULL));
    const char *last = axes(emission, -1, 1);
    const char *value =
        i4q_emit_output(i4q_emit_node(emission, "Unsqueeze", "unsqueezed", inputs[0], last, NULL));
    value = i4q_emit_output(i4q_emit_node(emission, "GreaterOrEqual", "reached", value, thresholds, NULL));
    Onnx__NodeProto *cast = i4q_emit_node(emission, "Cast", "ones", value, NULL, NULL);
    i4q_emit_int(emission, cast, "to", I4Q_TYPE(FLOAT));
    Onnx__NodeProto *sum = i4q_emit_node(emission, "ReduceSum", scales || moves ? "count" : NULL,
                                         i4q_emit_output(cast), last, NULL);
    i4q_emit_int(emission, sum, "keepdims", 0);
    value = i4q_emit_output(sum);
    if (scales)
        value = apply(emission, "Mul", value, scale, !moves);
    if (moves)
        apply(emission, "Add", value, bias, true);
}

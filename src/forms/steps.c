// SPDX-License-Identifier: Apache-2.0
#include "forms/steps.h"

#include "forms/finder.h"
#include "forms/recognise.h"
#include "onnx/dtype.h"

#include <math.h>

enum { MOST_EXACT_BITS = 24, ZERO_INPUT = 2 };

/* ---- whether */

/* Faults of a parameter that arithmetic does not mind. */
static bool is_bearable(enum i4q_fault fault)
{
    return !fault || fault == I4Q_FAULT_SCALE_COMPUTED || fault == I4Q_FAULT_SCALE_SHAPE ||
           fault == I4Q_FAULT_ZERO_POINT || fault == I4Q_FAULT_BIT_WIDTH;
}

bool i4q_has_zero_point(const struct i4q_node *node, const struct i4q_origin *origin)
{
    const struct i4q_parameter *zero = &origin->zero;
    bool found = !zero->proto && i4q_has_input(node, ZERO_INPUT);
    for (size_t i = 0; zero->proto && i < zero->numbers.count; i++)
        found |= fabs(i4q_number(&zero->numbers, i)) > 0;
    return found;
}

/* Integers are copied as floats, whose shape has to be known as that of a parameter. */
static bool can_be_added(const struct i4q_node *node, const struct i4q_parameter *zero)
{
    const struct i4q_value *value = i4q_finder_value(node, ZERO_INPUT);
    const Onnx__TensorProto *proto = value ? i4q_value_tensor(value) : NULL;
    return zero->proto || !i4q_has_input(node, ZERO_INPUT) ||
           (value && (!proto || i4q_is_type(proto, I4Q_TYPE(FLOAT))));
}

bool i4q_has_steps(const struct i4q_node *node, const struct i4q_origin *origin)
{
    if (origin->flaw || !is_bearable(origin->fault))
        return false;
    if (origin->dialect == I4Q_DIALECT_BIPOLAR)
        return true;
    if (origin->coding == I4Q_CODING_TRUNC)
        return !origin->fault && !i4q_has_zero_point(node, origin);
    return origin->bits >= 1 && origin->bits <= MOST_EXACT_BITS && can_be_added(node, &origin->zero);
}

/* ---- the nodes */

static const char *step(struct i4q_emission *emission, const char *op, const char *output, const char *a,
                        const char *b)
{
    return i4q_emit_output(i4q_emit_node(emission, op, output, a, b, NULL));
}

/* NULL: it is 0. */
static const char *zero_point(struct i4q_emission *emission, const struct i4q_node *node,
                              const struct i4q_origin *origin)
{
    const struct i4q_parameter *zero = &origin->zero;
    const Onnx__TensorProto *proto = zero->proto;
    if (!i4q_has_zero_point(node, origin))
        return NULL;
    if (!proto || i4q_is_type(proto, I4Q_TYPE(FLOAT)))
        return node->proto->input[ZERO_INPUT];
    float *floats = i4q_arena_alloc(&emission->model->arena, zero->numbers.count, sizeof *floats);
    emission->failed |= !floats;
    for (size_t i = 0; floats && i < zero->numbers.count; i++)
        floats[i] = (float)i4q_number(&zero->numbers, i);
    const Onnx__TensorProto *made =
        i4q_emit_tensor(emission, "zero_point", I4Q_TYPE(FLOAT), proto->dims, proto->n_dims, floats,
                        zero->numbers.count * sizeof *floats);
    return made ? made->name : "";
}

/* The operator that rounds as each mode does; of those that know up and down from the magnitude, to which
 * something is added first. */
static const struct way {
    const char *op;
    bool of_magnitude;
    float added;
} ways[] = {
    [I4Q_ROUND_HALF_EVEN] = {"Round"},
    [I4Q_ROUND_CEIL] = {"Ceil"},
    [I4Q_ROUND_FLOOR] = {"Floor"},
    [I4Q_ROUND_UP] = {"Ceil", .of_magnitude = true},
    [I4Q_ROUND_DOWN] = {"Floor", .of_magnitude = true},
    [I4Q_ROUND_HALF_UP] = {"Floor", .of_magnitude = true, .added = 0.5f},
    [I4Q_ROUND_HALF_DOWN] = {"Ceil", .of_magnitude = true, .added = -0.5f},
};

static const char *emit_rounding(struct i4q_emission *emission, enum i4q_quant_rounding rounding,
                                 const char *value)
{
    const struct way *way = &ways[rounding];
    if (!way->of_magnitude)
        return step(emission, way->op, "rounded", value, NULL);
    const char *sign = step(emission, "Sign", "sign", value, NULL);
    value = step(emission, "Abs", "magnitude", value, NULL);
    if (fabsf(way->added) > 0)
        value = step(emission, "Add", "magnitude_moved", value, i4q_emit_number(emission, way->added));
    value = step(emission, way->op, "magnitude_rounded", value, NULL);
    return step(emission, "Mul", "rounded", value, sign);
}

static const char *emit_sign(struct i4q_emission *emission, const char *value)
{
    const char *positive = step(emission, "GreaterOrEqual", "positive", value, i4q_emit_number(emission, 0));
    const char *plus = i4q_emit_number(emission, 1), *minus = i4q_emit_number(emission, -1);
    return i4q_emit_output(i4q_emit_node(emission, "Where", "sign", positive, plus, minus));
}

static const char *emit_clip(struct i4q_emission *emission, float low, float high, const char *value)
{
    const char *least = i4q_emit_number(emission, low), *most = i4q_emit_number(emission, high);
    return i4q_emit_output(i4q_emit_node(emission, "Clip", "clipped", value, least, most));
}

static const char *emit_quant_codes(struct i4q_emission *emission, const struct i4q_quant *quant,
                                    const char *value)
{
    float low, high;
    if (quant->bits == 1 && quant->is_signed)
        return emit_sign(emission, value);
    i4q_quant_range(quant, &low, &high);
    return emit_rounding(emission, quant->rounding, emit_clip(emission, low, high, value));
}

static void emit_quant(struct i4q_emission *emission, const struct i4q_node *node,
                       const struct i4q_origin *origin)
{
    char **inputs = node->proto->input;
    const char *zero = zero_point(emission, node, origin);
    const char *value = step(emission, "Div", "scaled", inputs[0], inputs[1]);
    if (zero)
        value = step(emission, "Add", "shifted", value, zero);
    value = emit_quant_codes(emission, &origin->quant, value);
    if (zero)
        value = step(emission, "Sub", "centred", value, zero);
    step(emission, "Mul", NULL, value, inputs[1]);
}

static void emit_trunc(struct i4q_emission *emission, const struct i4q_node *node,
                       const struct i4q_origin *origin)
{
    char **inputs = node->proto->input;
    bool clamps = isfinite(origin->high);
    const char *value = step(emission, "Div", "scaled", inputs[0], inputs[1]);
    value = step(emission, "Round", "codes", value, NULL);
    value = step(emission, "Div", "shifted", value, i4q_emit_number(emission, origin->shift));
    if (clamps)
        value = emit_clip(emission, origin->low, origin->high, value);
    value = emit_rounding(emission, origin->quant.rounding, value);
    step(emission, "Mul", NULL, value, inputs[clamps ? 4 : 1]);
}

void i4q_emit_steps(struct i4q_emission *emission, const struct i4q_node *node,
                    const struct i4q_origin *origin)
{
    char **inputs = node->proto->input;
    if (origin->dialect == I4Q_DIALECT_BIPOLAR)
        step(emission, "Mul", NULL, emit_sign(emission, inputs[0]), inputs[1]);
    else if (origin->coding == I4Q_CODING_TRUNC)
        emit_trunc(emission, node, origin);
    else
        emit_quant(emission, node, origin);
}

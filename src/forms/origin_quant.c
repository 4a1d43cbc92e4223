// SPDX-License-Identifier: Apache-2.0
#include "forms/origin_quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BITS = 8, MOST_EXACT_BITS = 24, TRUNC_INPUTS = 5, TRUNC_CLAMPS_INPUTS = 6 };
enum { LONGEST = 32 /* more than any rounding mode has characters */ };

const char *const i4q_quant_domains[] = {"onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general",
                                         NULL};

bool i4q_is_quant_op(const Onnx__NodeProto *node, const char *op)
{
    for (const char *const *domain = i4q_quant_domains; *domain; domain++)
        if (i4q_node_is_of(node, *domain, op))
            return true;
    return false;
}

bool i4q_is_quant(const Onnx__NodeProto *node)
{
    static const char *const ops[] = {"Quant", "IntQuant", "BipolarQuant", "FloatQuant"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (i4q_is_quant_op(node, ops[i]))
            return true;
    return false;
}

static bool read_flag(struct i4q_finder *finder, const char *name, bool otherwise)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(finder->node->proto, name);
    if (!attribute)
        return otherwise;
    bool integer = attribute->has_i || attribute->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    if (!integer || attribute->i < 0 || attribute->i > 1)
        i4q_finder_flaw(finder, "an attribute that is to be 0 or 1 is neither");
    return attribute->i == 1;
}

static void read_rounding(struct i4q_finder *finder, enum i4q_quant_rounding otherwise,
                          enum i4q_quant_rounding *rounding)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(finder->node->proto, "rounding_mode");
    *rounding = otherwise;
    if (!attribute)
        return;
    if (!attribute->has_s) {
        i4q_finder_flaw(finder, "its rounding_mode is no text");
        return;
    }
    size_t length = attribute->s.len;
    const char *word = i4q_arena_format(finder->arena, "%.*s", length < LONGEST ? (int)length : LONGEST,
                                        (const char *)attribute->s.data);
    finder->failed |= !word;
    if (word && (strlen(word) != length || !i4q_quant_find_rounding(word, rounding)))
        i4q_finder_blame(finder, I4Q_FAULT_ROUNDING);
}

/* A single integer; 0 where it is none. */
static unsigned read_bits(struct i4q_finder *finder, size_t input)
{
    struct i4q_tensor tensor;
    struct i4q_numbers numbers;
    const Onnx__TensorProto *proto =
        i4q_finder_open_wide(finder, i4q_finder_value(finder->node, input), &tensor, &numbers);
    double bits = proto && numbers.type && tensor.count == 1 ? i4q_number(&numbers, 0) : 0;
    return bits >= 1 && bits <= 32 && bits == rint(bits) ? (unsigned)bits : 0;
}

static bool has_inputs(struct i4q_finder *finder, size_t n)
{
    char what[64];
    bool has = finder->node->proto->n_input == n;
    snprintf(what, sizeof what, "it has %zu inputs, not %zu", finder->node->proto->n_input, n);
    if (!has)
        i4q_finder_flaw(finder, what);
    return has;
}

/* QKeras stores zero points as INT64. */
static const struct i4q_spread scale_spread = {.broadcast = true, .is_float = true};
static const struct i4q_spread zero_spread = {.broadcast = true};

/* The same scale makes the codes and the values. */
static void describe_quant(struct i4q_finder *finder)
{
    struct i4q_origin *origin = finder->origin;
    origin->coding = I4Q_CODING_QUANT;
    if (!has_inputs(finder, 4))
        return;
    origin->quant.is_signed = read_flag(finder, "signed", true);
    origin->quant.narrow = read_flag(finder, "narrow", false);
    read_rounding(finder, I4Q_ROUND_HALF_EVEN, &origin->quant.rounding);
    origin->bits = origin->quant.bits = read_bits(finder, 3);
    i4q_finder_elements(finder, i4q_finder_value(finder->node, 0));
    i4q_finder_expect_floats(finder);
    i4q_finder_scale(finder, finder->node, 1, &scale_spread, &origin->scale);
    i4q_finder_zero(finder, finder->node, 2, &zero_spread, &origin->zero);
    if (!origin->bits || origin->bits > MOST_BITS)
        i4q_finder_blame(finder, I4Q_FAULT_BIT_WIDTH);
    origin->code_scale = origin->scale;
    origin->code_zero = origin->zero;
}

/* The sign is taken without a scale. */
static void describe_bipolar(struct i4q_finder *finder)
{
    struct i4q_origin *origin = finder->origin;
    origin->dialect = I4Q_DIALECT_BIPOLAR;
    origin->coding = I4Q_CODING_QUANT;
    origin->bits = 1;
    origin->quant = (struct i4q_quant){.bits = 1, .is_signed = true};
    if (!has_inputs(finder, 2))
        return;
    i4q_finder_elements(finder, i4q_finder_value(finder->node, 0));
    i4q_finder_expect_floats(finder);
    i4q_finder_scale(finder, finder->node, 1, &scale_spread, &origin->scale);
}

static void describe_float_quant(struct i4q_finder *finder)
{
    i4q_finder_elements(finder, i4q_finder_value(finder->node, 0));
    finder->origin->fault = I4Q_FAULT_FLOAT_QUANT;
}

/* ---- Trunc */

bool i4q_is_trunc(const Onnx__NodeProto *node)
{
    return i4q_is_quant_op(node, "Trunc");
}

static double single(struct i4q_finder *finder, const struct i4q_parameter *scale)
{
    if (scale->proto && scale->numbers.count > 1)
        i4q_finder_blame(finder, I4Q_FAULT_SCALE_SHAPE);
    return scale->proto ? i4q_number(&scale->numbers, 0) : 1;
}

/* The power of two that is nearest by its logarithm. */
static float nearest_power(double x)
{
    int exponent;
    double mantissa = frexp(x, &exponent);
    return (float)ldexp(1, exponent - (mantissa < sqrt(0.5)));
}

/* Version 2 tells by the scale behind how many bits go, and clamps. */
static void read_shift(struct i4q_finder *finder)
{
    struct i4q_origin *origin = finder->origin;
    double ratio = single(finder, &origin->scale) / single(finder, &origin->code_scale);
    if (origin->bits == 1 && origin->quant.is_signed)
        i4q_finder_blame(finder, I4Q_FAULT_BIT_WIDTH);
    origin->shift = nearest_power(ratio);
    if (!origin->fault)
        i4q_quant_range(&origin->quant, &origin->low, &origin->high);
}

static void describe_trunc(struct i4q_finder *finder)
{
    struct i4q_origin *origin = finder->origin;
    origin->coding = I4Q_CODING_TRUNC;
    if (finder->node->proto->n_input != TRUNC_CLAMPS_INPUTS && !has_inputs(finder, TRUNC_INPUTS))
        return;
    bool clamps = finder->node->proto->n_input == TRUNC_CLAMPS_INPUTS;
    read_rounding(finder, I4Q_ROUND_FLOOR, &origin->quant.rounding);
    i4q_finder_scale(finder, finder->node, 1, &scale_spread, &origin->code_scale);
    i4q_finder_zero(finder, finder->node, 2, &zero_spread, &origin->zero);
    i4q_finder_scale(finder, finder->node, clamps ? 4 : 1, &scale_spread, &origin->scale);
    origin->quant.is_signed = read_flag(finder, "signed", true);
    origin->quant.narrow = read_flag(finder, "narrow", false);
    unsigned from = read_bits(finder, 3), bits = read_bits(finder, clamps ? 5 : 4);
    origin->bits = origin->quant.bits = bits;
    if (!from || !bits || bits > MOST_EXACT_BITS)
        i4q_finder_blame(finder, I4Q_FAULT_BIT_WIDTH);
    origin->shift = (float)ldexp(1, (int)from - (int)bits);
    if (clamps)
        read_shift(finder);
}

void i4q_finder_quant(struct i4q_finder *finder)
{
    const char *op = finder->node->proto->op_type;
    if (strcmp(op, "BipolarQuant") == 0)
        describe_bipolar(finder);
    else if (strcmp(op, "FloatQuant") == 0)
        describe_float_quant(finder);
    else if (strcmp(op, "Trunc") == 0)
        describe_trunc(finder);
    else
        describe_quant(finder);
}

struct i4q_origin *i4q_origin_of_quant(struct i4q_arena *arena, const struct i4q_node *node,
                                       bool is_activation)
{
    struct i4q_origin *origin = i4q_arena_alloc(arena, 1, sizeof *origin);
    struct i4q_finder finder = {.arena = arena,
                                .node = node,
                                .origin = origin,
                                .is_activation = is_activation,
                                .takes_scalars = true};
    if (!origin)
        return NULL;
    origin->low = -INFINITY;
    origin->high = INFINITY;
    i4q_finder_quant(&finder);
    i4q_finder_settle(&finder, 0);
    return finder.failed ? NULL : origin;
}

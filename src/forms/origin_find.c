// SPDX-License-Identifier: Apache-2.0
#include "forms/origin_find.h"

#include "forms/finder.h"
#include "forms/finn.h"
#include "forms/origin_quant.h"
#include "forms/recognise.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 64, MOST_BITS = 8, DEQUANTIZE_AXIS = 1 };

/* ---- (QuantizeLinear,) (Clip,) DequantizeLinear */

static struct i4q_spread linear_spread(const struct i4q_node *node)
{
    return (struct i4q_spread){.axis = i4q_node_int(node->proto, "axis", DEQUANTIZE_AXIS)};
}

/* Of codes of this type; those of more than 8 bits are numbers rather than codes. */
static void set_code_type(struct i4q_finder *finder, const struct i4q_dtype *type)
{
    struct i4q_origin *origin = finder->origin;
    bool is_signed = type && type->kind == I4Q_DTYPE_SIGNED;
    if (!type || (!is_signed && type->kind != I4Q_DTYPE_UNSIGNED) || !type->bits || type->bits > MOST_BITS) {
        i4q_finder_blame(finder, I4Q_FAULT_BIT_WIDTH);
        return;
    }
    origin->bits = type->bits;
    i4q_quant_range(&(struct i4q_quant){.bits = type->bits, .is_signed = is_signed}, &origin->low,
                    &origin->high);
}

/* The type of the zero point, else output_dtype, else UINT8. */
static const struct i4q_dtype *quantized_type(const struct i4q_finder *finder, const struct i4q_node *node)
{
    const Onnx__TensorProto *zero = finder->origin->code_zero.proto;
    int64_t type = i4q_node_int(node->proto, "output_dtype", 0);
    return i4q_dtype_find(zero ? zero->data_type : type ? (int32_t)type : I4Q_TYPE(UINT8));
}

static void describe_quantize(struct i4q_finder *finder, const struct i4q_node *node)
{
    struct i4q_spread spread = linear_spread(node);
    struct i4q_origin *origin = finder->origin;
    origin->coding = I4Q_CODING_QUANTIZE_LINEAR;
    i4q_finder_elements(finder, i4q_finder_value(node, 0));
    i4q_finder_expect_floats(finder);
    i4q_finder_scale(finder, node, 1, &spread, &origin->code_scale);
    i4q_finder_zero(finder, node, 2, &spread, &origin->code_zero);
    set_code_type(finder, quantized_type(finder, node));
}

/* The least width that has all of these codes. */
static unsigned width_of(float low, float high)
{
    unsigned bits = 1;
    for (; bits < MOST_BITS; bits++) {
        float most = ldexpf(1, (int)bits - (low < 0)) - 1;
        if (high <= most && (low >= 0 || low >= -most - 1))
            break;
    }
    return bits;
}

/* A bound that is missing leaves that side as it is. */
static void read_bound(struct i4q_finder *finder, const struct i4q_node *clip, size_t input, float *bound)
{
    struct i4q_tensor tensor;
    struct i4q_numbers numbers = {0};
    if (!i4q_has_input(clip, input))
        return;
    bool stored = i4q_finder_open(finder, i4q_finder_value(clip, input), &tensor, &numbers) != NULL;
    if (stored && numbers.type && !i4q_numbers_are_floats(&numbers) && tensor.count == 1)
        *bound = (float)i4q_number(&numbers, 0);
    else
        i4q_finder_blame(finder, I4Q_FAULT_COMPUTED);
}

/* Bounds that cross give the upper one, as min(max(x, low), high) has it. */
static void describe_clip(struct i4q_finder *finder, const struct i4q_node *clip)
{
    struct i4q_origin *origin = finder->origin;
    float low = origin->low, high = origin->high;
    read_bound(finder, clip, 1, &low);
    read_bound(finder, clip, 2, &high);
    origin->low = fminf(fmaxf(origin->low, low), high);
    origin->high = fminf(fmaxf(origin->high, low), high);
    origin->bits = width_of(origin->low, origin->high);
}

static void read_decoding(struct i4q_finder *finder)
{
    struct i4q_spread spread = linear_spread(finder->node);
    struct i4q_origin *origin = finder->origin;
    i4q_finder_scale(finder, finder->node, 1, &spread, &origin->scale);
    i4q_finder_zero(finder, finder->node, 2, &spread, &origin->zero);
    origin->half = i4q_is_type(origin->scale.proto, I4Q_TYPE(FLOAT16));
    if (origin->scale.proto && !origin->half && !i4q_is_type(origin->scale.proto, I4Q_TYPE(FLOAT)))
        i4q_finder_blame(finder, I4Q_FAULT_DTYPE);
}

/* False: activations, or integers that stand there in a form that needs no import. */
static bool describe_dequantize(struct i4q_finder *finder)
{
    struct i4q_origin *origin = finder->origin;
    const struct i4q_value *codes = i4q_finder_value(finder->node, 0);
    const struct i4q_node *clip = i4q_sole_producer(codes);
    if (!codes || !codes->is_constant)
        return false;
    clip = clip && i4q_node_is(clip->proto, "Clip") ? clip : NULL;
    codes = clip ? i4q_finder_value(clip, 0) : codes;
    const struct i4q_node *quantize = i4q_sole_producer(codes);
    quantize = quantize && i4q_is_linear(quantize, "QuantizeLinear") ? quantize : NULL;
    origin->dialect = clip ? I4Q_DIALECT_QCDQ : quantize ? I4Q_DIALECT_QDQ : I4Q_DIALECT_INT8;
    if (quantize) {
        describe_quantize(finder, quantize);
    } else {
        i4q_finder_elements(finder, codes);
        set_code_type(finder, origin->elements.type);
    }
    if (clip)
        describe_clip(finder, clip);
    read_decoding(finder);
    bool bytes = origin->elements.type && origin->elements.bits == MOST_BITS;
    return clip || quantize || (bytes && !origin->fault && !origin->flaw);
}

/* ---- FINN */

static bool describe_finn(struct i4q_finder *finder, const struct i4q_value *value)
{
    struct i4q_origin *origin = finder->origin;
    double low, high;
    origin->dialect = I4Q_DIALECT_FINN;
    if (!i4q_finn_find(value, &origin->bits, &low, &high))
        return false;
    i4q_finder_elements(finder, value);
    origin->low = (float)low;
    origin->high = (float)high;
    origin->half = i4q_is_type(origin->proto, I4Q_TYPE(FLOAT16));
    if (origin->fault || !(origin->half || i4q_is_type(origin->proto, I4Q_TYPE(FLOAT))))
        return false;
    for (size_t i = 0; i < origin->elements.count; i++) {
        double element = i4q_number(&origin->elements, i);
        if (!(element >= low && element <= high) || element != rint(element))
            return false;
    }
    if (origin->bits > MOST_BITS)
        i4q_finder_blame(finder, I4Q_FAULT_BIT_WIDTH);
    return true;
}

/* ---- finding */

/* Between floats. What is stored as integers is the weight before that, so it loses nothing. */
static bool casts_floats(const Onnx__NodeProto *node)
{
    const struct i4q_dtype *type = i4q_dtype_find((int32_t)i4q_node_int(node, "to", 0));
    return i4q_node_is(node, "Cast") && type && type->kind == I4Q_DTYPE_FLOAT;
}

bool i4q_moves_elements(const Onnx__NodeProto *node)
{
    static const char *const ops[] = {"Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze"};
    bool found = casts_floats(node);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        found |= i4q_node_is(node, ops[i]);
    return found;
}

struct i4q_value *i4q_value_behind_moves(struct i4q_value *value)
{
    for (int i = 0; i < MAX_DEPTH && i4q_sole_producer(value) && i4q_moves_elements(value->producer->proto);
         i++)
        value = i4q_value_operand(value);
    return value;
}

static bool describe(struct i4q_finder *finder, const struct i4q_value *value)
{
    if (!value->producer)
        return describe_finn(finder, value);
    if (!i4q_sole_producer(value))
        return false;
    if (i4q_is_linear(value->producer, "DequantizeLinear"))
        return describe_dequantize(finder);
    if (!i4q_is_quant(value->producer->proto))
        return false;
    i4q_finder_quant(finder);
    return true;
}

bool i4q_origin_find(struct i4q_arena *arena, struct i4q_table *copies, const struct i4q_conv *conv,
                     struct i4q_origin **origin, struct i4q_error *error)
{
    struct i4q_value *value = i4q_value_behind_moves(conv->weight);
    struct i4q_origin found = {.value = value, .low = -INFINITY, .high = INFINITY};
    struct i4q_finder finder = {
        .arena = arena, .copies = copies, .node = value ? value->producer : NULL, .origin = &found};
    *origin = NULL;
    if (conv->op->integer || !value || !describe(&finder, value))
        return !finder.failed || i4q_fail_memory(error);
    i4q_finder_settle(&finder, value == conv->weight ? conv->channel_axis : 0);
    struct i4q_origin *made = i4q_arena_alloc(arena, 1, sizeof *made);
    if (!made || finder.failed)
        return i4q_fail_memory(error);
    *made = found;
    *origin = made;
    return true;
}

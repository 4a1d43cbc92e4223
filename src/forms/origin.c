// SPDX-License-Identifier: Apache-2.0
#include "forms/origin.h"

#include "forms/finn.h"
#include "forms/recognise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 64, MOST_BITS = 8, DEQUANTIZE_AXIS = 1 };

const struct i4q_dialect_row i4q_dialects[] = {
    [I4Q_DIALECT_QUANT] = {"quant", "Quant"},  [I4Q_DIALECT_BIPOLAR] = {"bipolar", "BipolarQuant"},
    [I4Q_DIALECT_QCDQ] = {"qcdq", "QCDQ"},     [I4Q_DIALECT_QDQ] = {"qdq", "QDQ"},
    [I4Q_DIALECT_INT8] = {"int8", "8 bit DQ"}, [I4Q_DIALECT_FINN] = {"finn", "FINN"},
};

/* One weight that is being described. */
struct finder {
    struct i4q_arena *arena;
    const struct i4q_node *node; /* that makes the value */
    struct i4q_origin *origin;
    struct i4q_error *error;
    bool failed; /* memory ran out */
};

/* The first fault is the one that is told. */
static void blame(struct finder *finder, enum i4q_fault fault)
{
    if (!finder->origin->fault)
        finder->origin->fault = fault;
}

static void mark_flaw(struct finder *finder, const char *what)
{
    const Onnx__NodeProto *node = finder->node->proto;
    if (finder->origin->flaw)
        return;
    blame(finder, I4Q_FAULT_COMPUTED);
    finder->origin->flaw = i4q_arena_format(finder->arena, "node '%s' (%s): %s", i4q_node_label(node),
                                            i4q_text(node->op_type), what);
    finder->failed |= !finder->origin->flaw;
}

/* ---- tensors */

static struct i4q_value *input_value(const struct i4q_node *node, size_t input)
{
    struct i4q_value *value =
        i4q_has_input(node, input) ? i4q_scope_resolve(node->scope, node->proto->input[input]) : NULL;
    return value ? i4q_value_behind_identities(value) : NULL;
}

/* Opens what is stored as the value; NULL: nothing is, or it is unsound, which makes the node so. */
static const Onnx__TensorProto *open_stored(struct finder *finder, const struct i4q_value *value,
                                            struct i4q_tensor *tensor, struct i4q_numbers *numbers)
{
    struct i4q_error found = {0};
    const Onnx__TensorProto *proto = value ? i4q_value_tensor(value) : NULL;
    if (!proto)
        return NULL;
    if (!i4q_tensor_describe(proto, tensor, &found) ||
        !i4q_numbers_open(finder->arena, proto, numbers, &found)) {
        finder->failed |= found.code != I4Q_MODEL;
        mark_flaw(finder, found.message);
        return NULL;
    }
    return proto;
}

static void open_elements(struct finder *finder, const struct i4q_value *value)
{
    struct i4q_origin *origin = finder->origin;
    origin->stored = value;
    origin->proto = open_stored(finder, value, &origin->tensor, &origin->elements);
    if (!origin->proto)
        blame(finder, I4Q_FAULT_COMPUTED);
    else if (!origin->elements.type)
        blame(finder, I4Q_FAULT_DTYPE);
    else if (!origin->tensor.count || !origin->tensor.rank)
        blame(finder, I4Q_FAULT_EMPTY);
}

static bool is_type(const Onnx__TensorProto *proto, int32_t type)
{
    return proto && proto->data_type == type;
}

/* ---- parameters */

/* How a parameter lies along the elements: as broadcasting has it, or as DequantizeLinear. */
struct layout {
    bool broadcast;
    int64_t axis; /* of DequantizeLinear */
};

/* Right-aligned; exactly one dimension may be other than 1. */
static bool find_broadcast_axis(const struct i4q_tensor *elements, const struct i4q_tensor *tensor,
                                size_t *axis)
{
    size_t wide = 0;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (tensor->dims[i] == 1)
            continue;
        *axis = elements->rank - tensor->rank + i;
        wide++;
    }
    return tensor->rank <= elements->rank && wide <= 1 &&
           (!wide || elements->dims[*axis] == tensor->dims[*axis - (elements->rank - tensor->rank)]);
}

static bool find_axis(const struct i4q_tensor *elements, const struct i4q_tensor *tensor,
                      const struct layout *layout, size_t *axis)
{
    int64_t along = layout->axis < 0 ? layout->axis + (int64_t)elements->rank : layout->axis;
    if (layout->broadcast)
        return find_broadcast_axis(elements, tensor, axis);
    if (tensor->rank > 1 || tensor->count == 1)
        return tensor->rank <= 1;
    *axis = (size_t)along;
    return along >= 0 && along < (int64_t)elements->rank && elements->dims[along] == tensor->dims[0];
}

/* Reads an input. Where there is none, or it is at fault, the parameter has no tensor. */
static void read_parameter(struct finder *finder, const struct i4q_node *node, size_t input,
                           const struct layout *layout, enum i4q_fault computed, enum i4q_fault shape,
                           struct i4q_parameter *parameter)
{
    struct i4q_tensor tensor;
    struct i4q_parameter found = {0};
    const struct i4q_value *value = input_value(node, input);
    found.proto = open_stored(finder, value, &tensor, &found.numbers);
    finder->origin->reads_input |= value && value->is_input;
    if (!i4q_has_input(node, input) || !finder->origin->proto)
        return;
    if (!found.proto)
        blame(finder, computed);
    else if (!found.numbers.type || (layout->broadcast && !is_type(found.proto, I4Q_TYPE(FLOAT))))
        blame(finder, I4Q_FAULT_DTYPE);
    else if (!tensor.count || !find_axis(&finder->origin->tensor, &tensor, layout, &found.axis))
        blame(finder, shape);
    else
        *parameter = found;
}

static void read_scale(struct finder *finder, const struct i4q_node *node, size_t input,
                       const struct layout *layout, struct i4q_parameter *scale)
{
    read_parameter(finder, node, input, layout, I4Q_FAULT_SCALE_COMPUTED, I4Q_FAULT_SCALE_SHAPE, scale);
    if (!i4q_has_input(node, input))
        mark_flaw(finder, "it has no scale");
    for (size_t i = 0; scale->proto && i < scale->numbers.count; i++) {
        double number = i4q_number(&scale->numbers, i);
        if (!isfinite(number) || !(number > 0))
            blame(finder, I4Q_FAULT_SCALE_VALUE);
    }
}

static void read_zero(struct finder *finder, const struct i4q_node *node, size_t input,
                      const struct layout *layout, struct i4q_parameter *zero)
{
    read_parameter(finder, node, input, layout, I4Q_FAULT_ZERO_POINT, I4Q_FAULT_ZERO_POINT, zero);
    for (size_t i = 0; zero->proto && i < zero->numbers.count; i++) {
        double number = i4q_number(&zero->numbers, i);
        if (!(fabs(number) <= 1 << MOST_BITS) || number != rint(number))
            blame(finder, I4Q_FAULT_ZERO_POINT);
    }
}

/* All of them differ along one axis at most, which is then that of the origin. */
static void settle_axis(struct finder *finder, size_t otherwise)
{
    struct i4q_origin *origin = finder->origin;
    const struct i4q_parameter *parameters[] = {&origin->scale, &origin->zero, &origin->code_scale,
                                                &origin->code_zero};
    bool found = false;
    origin->axis = otherwise < origin->tensor.rank ? otherwise : 0;
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        const struct i4q_parameter *parameter = parameters[i];
        if (!parameter->proto || parameter->numbers.count == 1)
            continue;
        if (found && parameter->axis != origin->axis)
            blame(finder, i % 2 ? I4Q_FAULT_ZERO_POINT : I4Q_FAULT_SCALE_SHAPE);
        origin->axis = parameter->axis;
        found = true;
    }
}

/* ---- Quant */

static bool is_one_of(const char *text, const char *const *list)
{
    while (*list && strcmp(*list, text) != 0)
        list++;
    return *list != NULL;
}

const char *const i4q_quant_domains[] = {"onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general",
                                         NULL};

bool i4q_is_quant(const Onnx__NodeProto *node)
{
    static const char *const ops[] = {"Quant", "IntQuant", "BipolarQuant", "FloatQuant", NULL};
    return is_one_of(i4q_text(node->domain), i4q_quant_domains) && is_one_of(i4q_text(node->op_type), ops);
}

static bool read_flag(struct finder *finder, const char *name, bool otherwise)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(finder->node->proto, name);
    if (!attribute)
        return otherwise;
    bool integer = attribute->has_i || attribute->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    if (!integer || attribute->i < 0 || attribute->i > 1)
        mark_flaw(finder, "an attribute that is to be 0 or 1 is neither");
    return attribute->i == 1;
}

static void read_rounding(struct finder *finder, enum i4q_quant_rounding *rounding)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(finder->node->proto, "rounding_mode");
    *rounding = I4Q_ROUND_HALF_EVEN;
    if (!attribute)
        return;
    if (!attribute->has_s) {
        mark_flaw(finder, "its rounding_mode is no text");
        return;
    }
    const char *word =
        i4q_arena_format(finder->arena, "%.*s", (int)(attribute->s.len & 0xff), (char *)attribute->s.data);
    finder->failed |= !word;
    if (word && !i4q_quant_find_rounding(word, rounding))
        blame(finder, I4Q_FAULT_ROUNDING);
}

/* A single integer; 0 where it is none. */
static unsigned read_bits(struct finder *finder, size_t input)
{
    struct i4q_tensor tensor;
    struct i4q_numbers numbers;
    const Onnx__TensorProto *proto = open_stored(finder, input_value(finder->node, input), &tensor, &numbers);
    double bits = proto && numbers.type && tensor.count == 1 ? i4q_number(&numbers, 0) : 0;
    return bits >= 1 && bits <= 32 && !(bits < rint(bits)) && !(bits > rint(bits)) ? (unsigned)bits : 0;
}

static bool has_inputs(struct finder *finder, size_t n)
{
    char what[64];
    bool has = finder->node->proto->n_input == n;
    snprintf(what, sizeof what, "it has %zu inputs, not %zu", finder->node->proto->n_input, n);
    if (!has)
        mark_flaw(finder, what);
    return has;
}

static void expect_floats(struct finder *finder)
{
    if (finder->origin->proto && !is_type(finder->origin->proto, I4Q_TYPE(FLOAT)))
        blame(finder, I4Q_FAULT_DTYPE);
}

/* The same scale makes the codes and the values. */
static void describe_quant(struct finder *finder)
{
    static const struct layout layout = {.broadcast = true};
    struct i4q_origin *origin = finder->origin;
    origin->coding = I4Q_CODING_QUANT;
    if (!has_inputs(finder, 4))
        return;
    origin->quant.is_signed = read_flag(finder, "signed", true);
    origin->quant.narrow = read_flag(finder, "narrow", false);
    read_rounding(finder, &origin->quant.rounding);
    origin->bits = origin->quant.bits = read_bits(finder, 3);
    open_elements(finder, input_value(finder->node, 0));
    expect_floats(finder);
    read_scale(finder, finder->node, 1, &layout, &origin->scale);
    read_zero(finder, finder->node, 2, &layout, &origin->zero);
    if (!origin->bits || origin->bits > MOST_BITS)
        blame(finder, I4Q_FAULT_BIT_WIDTH);
    origin->code_scale = origin->scale;
    origin->code_zero = origin->zero;
}

/* The sign is taken without a scale. */
static void describe_bipolar(struct finder *finder)
{
    static const struct layout layout = {.broadcast = true};
    struct i4q_origin *origin = finder->origin;
    origin->dialect = I4Q_DIALECT_BIPOLAR;
    origin->coding = I4Q_CODING_QUANT;
    origin->bits = 1;
    origin->quant = (struct i4q_quant){.bits = 1, .is_signed = true};
    if (!has_inputs(finder, 2))
        return;
    open_elements(finder, input_value(finder->node, 0));
    expect_floats(finder);
    read_scale(finder, finder->node, 1, &layout, &origin->scale);
}

static void describe_float_quant(struct finder *finder)
{
    open_elements(finder, input_value(finder->node, 0));
    finder->origin->fault = I4Q_FAULT_FLOAT_QUANT;
}

static void describe_quant_node(struct finder *finder)
{
    const char *op = finder->node->proto->op_type;
    if (strcmp(op, "BipolarQuant") == 0)
        describe_bipolar(finder);
    else if (strcmp(op, "FloatQuant") == 0)
        describe_float_quant(finder);
    else
        describe_quant(finder);
}

/* ---- (QuantizeLinear,) (Clip,) DequantizeLinear */

static bool is_linear(const struct i4q_node *node, const char *op)
{
    return node && (i4q_node_is(node->proto, op) || i4q_node_is_of(node->proto, "com.microsoft", op));
}

static struct layout linear_layout(const struct i4q_node *node)
{
    return (struct layout){.axis = i4q_node_int(node->proto, "axis", DEQUANTIZE_AXIS)};
}

/* Of codes of this type; those of more than 8 bits are numbers rather than codes. */
static void set_code_type(struct finder *finder, const struct i4q_dtype *type)
{
    struct i4q_origin *origin = finder->origin;
    bool is_signed = type && type->kind == I4Q_DTYPE_SIGNED;
    if (!type || (!is_signed && type->kind != I4Q_DTYPE_UNSIGNED) || !type->bits || type->bits > MOST_BITS) {
        blame(finder, I4Q_FAULT_BIT_WIDTH);
        return;
    }
    origin->bits = type->bits;
    i4q_quant_range(&(struct i4q_quant){.bits = type->bits, .is_signed = is_signed}, &origin->low,
                    &origin->high);
}

/* The type of the zero point, else output_dtype, else UINT8. */
static const struct i4q_dtype *quantized_type(const struct finder *finder, const struct i4q_node *node)
{
    const Onnx__TensorProto *zero = finder->origin->code_zero.proto;
    int64_t type = i4q_node_int(node->proto, "output_dtype", 0);
    return i4q_dtype_find(zero ? zero->data_type : type ? (int32_t)type : I4Q_TYPE(UINT8));
}

static void describe_quantize(struct finder *finder, const struct i4q_node *node)
{
    struct layout layout = linear_layout(node);
    struct i4q_origin *origin = finder->origin;
    origin->coding = I4Q_CODING_QUANTIZE_LINEAR;
    open_elements(finder, input_value(node, 0));
    expect_floats(finder);
    read_scale(finder, node, 1, &layout, &origin->code_scale);
    read_zero(finder, node, 2, &layout, &origin->code_zero);
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
static void read_bound(struct finder *finder, const struct i4q_node *clip, size_t input, float *bound)
{
    struct i4q_tensor tensor;
    struct i4q_numbers numbers = {0};
    if (!i4q_has_input(clip, input))
        return;
    bool stored = open_stored(finder, input_value(clip, input), &tensor, &numbers) != NULL;
    if (stored && numbers.type && !i4q_numbers_are_floats(&numbers) && tensor.count == 1)
        *bound = (float)i4q_number(&numbers, 0);
    else
        blame(finder, I4Q_FAULT_COMPUTED);
}

/* Bounds that cross give the upper one, as min(max(x, low), high) has it. */
static void describe_clip(struct finder *finder, const struct i4q_node *clip)
{
    struct i4q_origin *origin = finder->origin;
    float low = origin->low, high = origin->high;
    read_bound(finder, clip, 1, &low);
    read_bound(finder, clip, 2, &high);
    origin->low = fminf(fmaxf(origin->low, low), high);
    origin->high = fminf(fmaxf(origin->high, low), high);
    origin->bits = width_of(origin->low, origin->high);
}

static void read_decoding(struct finder *finder)
{
    struct layout layout = linear_layout(finder->node);
    struct i4q_origin *origin = finder->origin;
    read_scale(finder, finder->node, 1, &layout, &origin->scale);
    read_zero(finder, finder->node, 2, &layout, &origin->zero);
    origin->half = is_type(origin->scale.proto, I4Q_TYPE(FLOAT16));
    if (origin->scale.proto && !origin->half && !is_type(origin->scale.proto, I4Q_TYPE(FLOAT)))
        blame(finder, I4Q_FAULT_DTYPE);
}

/* False: activations, or integers that stand there in a form that needs no import. */
static bool describe_dequantize(struct finder *finder)
{
    struct i4q_origin *origin = finder->origin;
    const struct i4q_value *codes = input_value(finder->node, 0);
    const struct i4q_node *clip = codes ? codes->producer : NULL;
    if (!codes || !codes->is_constant)
        return false;
    clip = clip && i4q_node_is(clip->proto, "Clip") ? clip : NULL;
    codes = clip ? input_value(clip, 0) : codes;
    const struct i4q_node *quantize =
        codes && is_linear(codes->producer, "QuantizeLinear") ? codes->producer : NULL;
    origin->dialect = clip ? I4Q_DIALECT_QCDQ : quantize ? I4Q_DIALECT_QDQ : I4Q_DIALECT_INT8;
    if (quantize) {
        describe_quantize(finder, quantize);
    } else {
        open_elements(finder, codes);
        set_code_type(finder, origin->elements.type);
    }
    if (clip)
        describe_clip(finder, clip);
    read_decoding(finder);
    bool bytes = origin->elements.type && origin->elements.bits == MOST_BITS;
    return clip || quantize || (bytes && !origin->fault && !origin->flaw);
}

/* ---- FINN */

static bool describe_finn(struct finder *finder, const struct i4q_value *value)
{
    struct i4q_origin *origin = finder->origin;
    double low, high;
    origin->dialect = I4Q_DIALECT_FINN;
    if (!i4q_finn_find(value, &origin->bits, &low, &high))
        return false;
    open_elements(finder, value);
    origin->low = (float)low;
    origin->high = (float)high;
    origin->half = is_type(origin->proto, I4Q_TYPE(FLOAT16));
    if (origin->fault || !(origin->half || is_type(origin->proto, I4Q_TYPE(FLOAT))))
        return false;
    for (size_t i = 0; i < origin->elements.count; i++) {
        double element = i4q_number(&origin->elements, i);
        if (!(element >= low && element <= high) || element != rint(element))
            return false;
    }
    if (origin->bits > MOST_BITS)
        blame(finder, I4Q_FAULT_BIT_WIDTH);
    return true;
}

/* ---- finding */

static bool moves(const Onnx__NodeProto *node)
{
    static const char *const ops[] = {"Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", NULL};
    return i4q_is_standard_domain(node->domain) && is_one_of(i4q_text(node->op_type), ops) && node->n_input;
}

struct i4q_value *i4q_value_behind_moves(struct i4q_value *value)
{
    for (int i = 0; i < MAX_DEPTH && value && value->producer && moves(value->producer->proto); i++)
        value = i4q_scope_resolve(value->producer->scope, value->producer->proto->input[0]);
    return value;
}

static bool describe(struct finder *finder, const struct i4q_value *value)
{
    if (!value->producer)
        return describe_finn(finder, value);
    if (is_linear(value->producer, "DequantizeLinear"))
        return describe_dequantize(finder);
    if (!i4q_is_quant(value->producer->proto))
        return false;
    describe_quant_node(finder);
    return true;
}

bool i4q_origin_find(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_origin **origin,
                     struct i4q_error *error)
{
    struct i4q_value *value = i4q_value_behind_moves(conv->weight);
    struct i4q_origin found = {.value = value, .low = -INFINITY, .high = INFINITY};
    struct finder finder = {arena, value ? value->producer : NULL, &found, error, false};
    *origin = NULL;
    if (conv->op->integer || !value || !describe(&finder, value))
        return !finder.failed || i4q_fail_memory(error);
    settle_axis(&finder, value == conv->weight ? conv->channel_axis : 0);
    struct i4q_origin *made = i4q_arena_alloc(arena, 1, sizeof *made);
    if (!made || finder.failed)
        return i4q_fail_memory(error);
    *made = found;
    *origin = made;
    return true;
}

bool i4q_origin_is_fake(const struct i4q_origin *origin)
{
    return origin->dialect != I4Q_DIALECT_INT8;
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/activation.h"

#include "base/half.h"
#include "onnx/dtype.h"

#include <float.h>
#include <math.h>

enum { OPSET_AXIS = 13, BYTE_BITS = 8 };

static const float HALF_LARGEST = 65504, HALF_SMALLEST = 0x1p-24f;

int64_t i4q_qdq_opset(const struct i4q_qdq *activation)
{
    int64_t scale = i4q_dtype_find(activation->half ? I4Q_TYPE(FLOAT16) : I4Q_TYPE(FLOAT))->dequantize;
    return scale < OPSET_AXIS ? OPSET_AXIS : scale;
}

/* ---- what nodes are made of; names are NULL when memory ran out */

struct work {
    const struct i4q_qdq_place *place;
    const struct i4q_qdq *activation;
    struct i4q_list *nodes;
};

static char *new_name(const struct work *work, const char *suffix)
{
    struct i4q_model *model = work->place->model;
    char *base = i4q_arena_format(&model->arena, "%s_%s", work->activation->name, suffix);
    return base ? i4q_graph_new_name(&model->graph, base) : NULL;
}

static int32_t code_type(const struct work *work)
{
    return work->activation->is_signed ? I4Q_TYPE(INT8) : I4Q_TYPE(UINT8);
}

/* A tensor of zeros in the graph. */
static Onnx__TensorProto *add_tensor(const struct work *work, const char *suffix, int32_t type,
                                     const int64_t *dims, size_t rank)
{
    struct i4q_model *model = work->place->model;
    size_t n = rank ? (size_t)dims[0] : 1; /* all other dimensions are 1 */
    const char *name = new_name(work, suffix);
    Onnx__TensorProto *made =
        name ? i4q_edit_blank_tensor(model, name, type, dims, rank, i4q_dtype_bytes(i4q_dtype_find(type), n))
             : NULL;
    return made && i4q_edit_add_initializer(model, work->place->scope, made) ? made : NULL;
}

/* A scalar, or one element a channel. */
static Onnx__TensorProto *add_numbers(const struct work *work, const char *suffix, int32_t type, bool each)
{
    const int64_t channels = (int64_t)work->activation->channels;
    return add_tensor(work, suffix, type, &channels, each);
}

static int32_t float_type(const struct work *work)
{
    return work->activation->half ? I4Q_TYPE(FLOAT16) : I4Q_TYPE(FLOAT);
}

/* As the type holds it, without becoming 0 or infinite. */
static float sound_scale(double scale, bool half)
{
    float largest = half ? HALF_LARGEST : FLT_MAX, smallest = half ? HALF_SMALLEST : FLT_TRUE_MIN;
    return fmaxf(fminf((float)scale, largest), smallest);
}

/* Of each channel its own, or the one. */
static const char *add_scales(const struct work *work, const char *suffix, bool each)
{
    const struct i4q_qdq *activation = work->activation;
    Onnx__TensorProto *made = add_numbers(work, suffix, float_type(work), each);
    for (size_t i = 0; made && i < (each ? activation->channels : 1); i++) {
        double scale = (double)activation->range.scale * (each ? (double)activation->factors[i] : 1);
        i4q_real_store(made->raw_data.data, activation->half, i, sound_scale(scale, activation->half));
    }
    return made ? made->name : NULL;
}

/* 1 / a, shaped so that it broadcasts along axis 1. */
static const char *add_ratios(const struct work *work)
{
    const struct i4q_qdq *activation = work->activation;
    size_t rank = activation->rank - 1;
    int64_t *dims = i4q_arena_alloc(&work->place->model->arena, rank, sizeof *dims);
    for (size_t i = 0; dims && i < rank; i++)
        dims[i] = i ? 1 : (int64_t)activation->channels;
    Onnx__TensorProto *made =
        dims ? add_tensor(work, "activation_ratio", float_type(work), dims, rank) : NULL;
    for (size_t i = 0; made && i < activation->channels; i++)
        i4q_real_store(made->raw_data.data, activation->half, i, (float)(1 / (double)activation->factors[i]));
    return made ? made->name : NULL;
}

/* A code, counted from the lowest one, as it is stored. */
static uint8_t stored(const struct work *work, int code)
{
    const struct i4q_qdq *activation = work->activation;
    return (uint8_t)(activation->is_signed ? code - (1 << (activation->range.bits - 1)) : code);
}

static const char *add_zeros(const struct work *work, const char *suffix, bool each)
{
    Onnx__TensorProto *made = add_numbers(work, suffix, code_type(work), each);
    for (size_t i = 0; made && i < (each ? work->activation->channels : 1); i++)
        made->raw_data.data[i] = stored(work, work->activation->range.zero);
    return made ? made->name : NULL;
}

/* A bound of Clip, which all activations of the same width have. */
static const char *add_bound(const struct work *work, const char *suffix, int code)
{
    struct i4q_arena *arena = &work->place->model->arena;
    char *key = i4q_arena_format(arena, "%d:%d", (int)code_type(work), (int)stored(work, code));
    void **slot = key ? i4q_table_at(work->place->shared, key) : NULL;
    if (slot && !*slot) {
        Onnx__TensorProto *made = add_numbers(work, suffix, code_type(work), false);
        if (made)
            *made->raw_data.data = stored(work, code);
        *slot = made ? made->name : NULL;
    }
    return slot ? *slot : NULL;
}

/* Its output T_<output>; NULL where one of its inputs is. */
static const char *add_node(const struct work *work, const char *op, const char *output, bool each,
                            const char *const *inputs, size_t n)
{
    struct i4q_model *model = work->place->model;
    for (size_t i = 0; i < n; i++)
        if (!inputs[i])
            return NULL;
    const char *name = new_name(work, op), *value = name ? new_name(work, output) : NULL;
    Onnx__NodeProto *made = value ? i4q_edit_node(model, op, name, inputs, n, &value, 1) : NULL;
    bool ok = made && i4q_list_add(&model->arena, work->nodes, made) &&
              (!each || i4q_edit_add_int(model, made, "axis", 1));
    return ok ? value : NULL;
}

static const char *divide(const struct work *work)
{
    const char *const inputs[] = {work->activation->name, add_ratios(work)};
    return add_node(work, "Mul", "activation_divided", false, inputs, 2);
}

static const char *clip(const struct work *work, const char *codes)
{
    int top = (1 << work->activation->range.bits) - 1;
    const char *const inputs[] = {codes, add_bound(work, "clip_low", 0), add_bound(work, "clip_high", top)};
    return add_node(work, "Clip", "activation_clipped", false, inputs, 3);
}

const char *i4q_qdq_emit(const struct i4q_qdq_place *place, const struct i4q_qdq *activation,
                         struct i4q_list *nodes)
{
    const struct work work = {place, activation, nodes};
    bool is_divided = activation->factors && activation->by_mul, each = activation->factors && !is_divided;
    const char *value = is_divided ? divide(&work) : activation->name;
    const char *scale = add_scales(&work, "activation_scale", each);
    const char *zero = add_zeros(&work, "activation_zero_point", each);
    const char *codes = add_node(&work, "QuantizeLinear", "activation_quantized", each,
                                 (const char *[]){value, scale, zero}, 3);
    if (activation->range.bits < BYTE_BITS)
        codes = clip(&work, codes);
    if (each) {
        scale = add_scales(&work, "activation_step", false);
        zero = add_zeros(&work, "activation_step_zero_point", false);
    }
    return add_node(&work, "DequantizeLinear", "activation_dequantized", false,
                    (const char *[]){codes, scale, zero}, 3);
}

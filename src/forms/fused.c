// SPDX-License-Identifier: Apache-2.0
/*
 * Codes -> Cast to INT8 (-> Sub of zero points, cast alike) -> DequantizeLinear of INT8, a scale a channel.
 *
 * ONNX Runtime fuses no DequantizeLinear of 4 bits with what reads it. Of 8 bits it does, and what makes INT8
 * of stored codes it computes once, at load. The differences of codes and zero points fit 8 bits; the zero
 * point of DequantizeLinear itself is 0, as its integer Convs want it.
 */
#include "forms/form.h"
#include "forms/recognise.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

enum { MOST_BITS = 4 };

/* ---- needs */

static bool holds(const struct i4q_weight *weight, const struct i4q_quantize_job *job)
{
    return i4q_format_is_integers(job->format) && job->format->bits <= MOST_BITS && !job->block &&
           weight->op->is_conv;
}

static size_t bytes(const struct i4q_quantize_job *job)
{
    return i4q_job_code_bytes(job) + i4q_job_scale_bytes(job) +
           (i4q_job_has_zero_points(job) ? i4q_job_zero_bytes(job) : 0);
}

static int64_t opset(const struct i4q_quantize_job *job)
{
    int64_t codes = i4q_dtype_find(job->format->type)->opset,
            scale = i4q_dtype_find(job->half ? I4Q_TYPE(FLOAT16) : I4Q_TYPE(FLOAT))->dequantize;
    return codes < scale ? scale : codes;
}

static int64_t ir_version(const struct i4q_quantize_job *job)
{
    return i4q_dtype_find(job->format->type)->ir_version;
}

/* ---- writing */

static const char *cast(struct i4q_emission *emission, const char *codes, const char *output)
{
    Onnx__NodeProto *node = i4q_emit_node(emission, "Cast", output, codes, NULL, NULL);
    i4q_emit_int(emission, node, "to", I4Q_TYPE(INT8));
    return i4q_emit_output(node);
}

/* Zeros of INT8, which weights with as many channels share. */
static const char *zeros(struct i4q_emission *emission)
{
    struct i4q_arena *arena = &emission->model->arena;
    const int64_t channels = (int64_t)emission->job->channels;
    const char *key = i4q_arena_format(arena, "zeros %zu", emission->job->channels);
    const void *data = i4q_arena_alloc(arena, emission->job->channels, 1);
    emission->failed |= !key || !data;
    return emission->failed ? ""
                            : i4q_emit_shared(emission, key, "zeros", I4Q_TYPE(INT8), &channels, 1, data,
                                              emission->job->channels);
}

static void emit(struct i4q_emission *emission)
{
    const struct i4q_weight *weight = emission->weight;
    const struct i4q_quantize_job *job = emission->job;
    const int64_t channels = (int64_t)job->channels;
    const char *codes = cast(
        emission,
        i4q_emit_codes(emission, "quantized", job->format->type, weight->tensor.dims, weight->tensor.rank),
        "int8");
    const char *scale = i4q_emit_scales(emission, &channels, 1);
    if (i4q_job_has_zero_points(job)) {
        const char *zero = cast(
            emission, i4q_emit_zero_codes(emission, i4q_emit_column(emission), weight->tensor.rank), "zero");
        codes = i4q_emit_output(i4q_emit_node(emission, "Sub", "centred", codes, zero, NULL));
    }
    Onnx__NodeProto *node = i4q_emit_node(emission, "DequantizeLinear", NULL, codes, scale, zeros(emission));
    i4q_emit_int(emission, node, "axis", (int64_t)weight->channel_axis);
}

/* ---- reading */

static bool begins(const struct i4q_node *node)
{
    return i4q_node_is(node->proto, "Cast") && i4q_node_int(node->proto, "to", 0) == I4Q_TYPE(INT8) &&
           i4q_reads_integers(node);
}

static bool is_zero(struct i4q_arena *arena, const Onnx__TensorProto *tensor)
{
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    bool zero = !tensor || i4q_tensor_payload(arena, tensor, &payload, &ignored);
    for (size_t i = 0; tensor && zero && i < payload.size; i++)
        zero = ((const uint8_t *)payload.data)[i] == 0;
    return zero;
}

/* What a Cast to INT8 makes an input of; NULL: something else does. */
static const Onnx__TensorProto *cast_input(const struct i4q_node *node, size_t input)
{
    const struct i4q_value *value = i4q_input_value(node, input);
    return value && value->producer && begins(value->producer) ? i4q_input_tensor(value->producer, 0) : NULL;
}

static bool recognise(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage)
{
    struct i4q_walk walk = i4q_walk_from(arena, conv, storage);
    const struct i4q_node *last = i4q_walk_step(&walk, "DequantizeLinear"),
                          *sub = i4q_walk_step(&walk, "Sub");
    const Onnx__TensorProto *zero = sub ? cast_input(sub, 1) : NULL;
    if (!last || (sub && !zero) || walk.at != conv->decoder || i4q_node_int(last->proto, "block_size", 0) ||
        !is_zero(arena, i4q_input_tensor(last, 2)))
        return false;
    storage->is_dequantize = true;
    storage->axis = i4q_node_int(last->proto, "axis", 1);
    i4q_describe_integers(storage, i4q_input_tensor(conv->decoder, 0), i4q_input_tensor(last, 1), zero);
    return storage->scale || storage->unsound;
}

static const char *const steps[] = {"Sub", "DequantizeLinear", NULL};

const struct i4q_form i4q_form_fused = {
    .word = "fused",
    .execution = I4Q_FUSES,
    .holds = holds,
    .bytes = bytes,
    .opset = opset,
    .ir_version = ir_version,
    .emit = emit,
    .begins = begins,
    .steps = steps,
    .recognise = recognise,
};

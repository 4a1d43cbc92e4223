// SPDX-License-Identifier: Apache-2.0
/* Codes of 2 to 6 bits as one stream in a UINT8 initializer, see base/bits.h, taken apart by operators that
 * all runtimes have had since opset 11. 4 bits: BitShift, Unsqueeze, Concat; others, by arithmetic on groups
 * of codes that end with a byte: Cast, (Concat,) Reshape, (MatMul,) Div, Mod. Then (Reshape, Slice,) Reshape,
 * Cast, Sub, Mul; zero points of channels and FLOAT16 scales of FLOAT weights are cast as well. */
#include "base/bits.h"
#include "base/half.h"
#include "forms/fields.h"
#include "forms/form.h"
#include "forms/recognise.h"

#include <inttypes.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

enum { NIBBLE = 4, OPSET = 11, OPSET_UNSQUEEZE_INPUT = 13 };

static const int64_t ONE = 1; /* the shape of a list of one */

/* ---- needs */

static bool holds(const struct i4q_weight *weight, const struct i4q_quantize_job *job)
{
    return job->format->packed && !job->block;
}

/* The zero point of symmetric codes is a constant that all weights share. */
static size_t bytes(const struct i4q_quantize_job *job)
{
    size_t scales = i4q_job_scales(job) * i4q_real_size(job->half || job->narrow);
    return i4q_job_code_bytes(job) + scales + (job->asymmetric ? i4q_job_scales(job) : 0);
}

static int64_t opset(const struct i4q_quantize_job *job)
{
    return OPSET;
}

static int64_t ir_version(const struct i4q_quantize_job *job)
{
    return 0;
}

/* ---- writing */

/* [n] → [n, 1] */
static const char *unsqueeze(struct i4q_emission *emission, const char *value)
{
    static const int64_t axis[] = {1};
    if (emission->opset >= OPSET_UNSQUEEZE_INPUT)
        return i4q_emit_output(i4q_emit_step(
            emission, "Unsqueeze", value,
            i4q_emit_shared(emission, "axis", "axis", TYPE(INT64), &ONE, 1, axis, sizeof axis), NULL));
    Onnx__NodeProto *made = i4q_emit_step(emission, "Unsqueeze", value, NULL, NULL);
    i4q_emit_ints(emission, made, "axes", axis, 1);
    return i4q_emit_output(made);
}

static const char *shift(struct i4q_emission *emission, const char *value, const char *by,
                         const char *direction)
{
    Onnx__NodeProto *made = i4q_emit_step(emission, "BitShift", value, by, NULL);
    i4q_emit_string(emission, made, "direction", direction);
    return i4q_emit_output(made);
}

/* The nibbles of all bytes in their order, as UINT8 [2 * bytes] viewed as [bytes, 2]: low (a shift to the
 * left drops the high one), then high. */
static const char *nibbles(struct i4q_emission *emission, const char *bytes)
{
    static const uint8_t four = 4;
    const char *by = i4q_emit_shared(emission, "four", "four", TYPE(UINT8), NULL, 0, &four, 1);
    const char *low = unsqueeze(emission, shift(emission, shift(emission, bytes, by, "LEFT"), by, "RIGHT"));
    const char *high = unsqueeze(emission, shift(emission, bytes, by, "RIGHT"));
    Onnx__NodeProto *pairs = i4q_emit_step(emission, "Concat", low, high, NULL);
    i4q_emit_int(emission, pairs, "axis", 1);
    return i4q_emit_output(pairs);
}

/* A list of INT64, which is borrowed: those that are equal are one constant. */
static const char *numbers(struct i4q_emission *emission, const char *suffix, const int64_t *values, size_t n)
{
    const char *key = suffix;
    for (size_t i = 0; key && i < n; i++)
        key = i4q_arena_format(&emission->model->arena, "%s %" PRId64, key, values[i]);
    emission->failed |= !key;
    const int64_t length = (int64_t)n;
    return i4q_emit_shared(emission, key, suffix, TYPE(INT64), &length, 1, values, n * sizeof *values);
}

/* Drops the codes that are nothing but padding. */
static const char *drop_padding(struct i4q_emission *emission, const char *pairs)
{
    static const int64_t all = -1, zero = 0;
    int64_t *count = i4q_arena_alloc(&emission->model->arena, 1, sizeof *count);
    emission->failed |= !count;
    if (emission->failed)
        return "";
    *count = (int64_t)i4q_job_count(emission->job);
    const Onnx__NodeProto *row =
        i4q_emit_step(emission, "Reshape", pairs, numbers(emission, "flat", &all, 1), NULL);
    const char *start = numbers(emission, "start", &zero, 1), *end = numbers(emission, "end", count, 1);
    return i4q_emit_output(i4q_emit_step(emission, "Slice", i4q_emit_output(row), start, end));
}

/* The zero point of symmetric codes, in the weight's own type: one constant for all weights of a width. */
static const char *shared_zero(struct i4q_emission *emission)
{
    const struct i4q_quantize_job *job = emission->job;
    uint8_t *data = i4q_arena_alloc(&emission->model->arena, 1, sizeof(float));
    const char *key = i4q_arena_format(&emission->model->arena, "zero %u %d", job->format->bits, job->half);
    emission->failed |= !data || !key;
    if (emission->failed)
        return "";
    i4q_real_store(data, job->half, 0, (float)job->format->zero);
    return i4q_emit_shared(emission, key, "zero_point", emission->weight->tensor.type, NULL, 0, data,
                           i4q_job_element(job));
}

/* The value in the weight's own type. */
static const char *cast(struct i4q_emission *emission, const char *value)
{
    Onnx__NodeProto *made = i4q_emit_step(emission, "Cast", value, NULL, NULL);
    i4q_emit_int(emission, made, "to", emission->weight->tensor.type);
    return i4q_emit_output(made);
}

static const char *scales(struct i4q_emission *emission, const int64_t *column, size_t rank)
{
    if (!emission->job->narrow)
        return i4q_emit_scales(emission, column, rank);
    return cast(emission, i4q_emit_scales_narrow(emission, column, rank));
}

static void emit(struct i4q_emission *emission)
{
    const struct i4q_tensor *shape = &emission->weight->tensor;
    const struct i4q_quantize_job *job = emission->job;
    const int64_t *column = i4q_emit_column(emission);
    const int64_t bytes = (int64_t)i4q_job_code_bytes(job);
    const char *packed = i4q_emit_codes(emission, "packed", job->format->type, &bytes, 1);
    const char *scale = scales(emission, column, shape->rank);
    const bool whole = i4q_job_count(job) % i4q_bits_even(job->format->bits) == 0;
    const char *codes =
        job->format->bits == NIBBLE ? nibbles(emission, packed) : i4q_emit_fields(emission, packed);
    if (!whole)
        codes = drop_padding(emission, codes);
    const char *dims = numbers(emission, "shape", shape->dims, shape->rank);
    const char *zero = job->asymmetric ? cast(emission, i4q_emit_zero_bytes(emission, column, shape->rank))
                                       : shared_zero(emission);
    const Onnx__NodeProto *last = i4q_emit_step(emission, "Reshape", codes, dims, NULL);
    last = i4q_emit_step(emission, "Sub", cast(emission, i4q_emit_output(last)), zero, NULL);
    i4q_emit_node(emission, "Mul", NULL, i4q_emit_output(last), scale, NULL);
}

/* ---- reading */

/* BitShift of bytes, or the Cast of bytes to numbers with which other widths begin. */
static bool begins(const struct i4q_node *node)
{
    return (i4q_node_is(node->proto, "BitShift") || i4q_node_is(node->proto, "Cast")) &&
           i4q_reads_integers(node);
}

/* From the shape of the codes up to the bytes; tells the width, 0 for none of ours. */
static unsigned walk_to_bytes(struct i4q_walk *walk)
{
    const struct i4q_node *shape = i4q_walk_step(walk, "Reshape");
    if (!shape || !i4q_walk_shape(walk, shape) ||
        (i4q_walk_step(walk, "Slice") && !i4q_walk_step(walk, "Reshape")))
        return 0;
    if (!i4q_walk_step(walk, "Concat"))
        return i4q_walk_fields(walk);
    return i4q_walk_step(walk, "Unsqueeze") && i4q_walk_step(walk, "BitShift") ? NIBBLE : 0;
}

static bool recognise(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage)
{
    struct i4q_walk walk = i4q_walk_from(arena, conv, storage);
    bool reshaped = i4q_walk_reshape(&walk);
    const struct i4q_node *mul = i4q_walk_step(&walk, "Mul"), *sub = i4q_walk_step(&walk, "Sub");
    unsigned bits = i4q_walk_step(&walk, "Cast") ? walk_to_bytes(&walk) : 0;
    const struct i4q_format *format = i4q_format_packed(bits);
    bool stored = i4q_describe_arithmetic(storage, conv->decoder, mul, sub);
    if (storage->codes && storage->scale) /* axes are counted from the last */
        storage->axis += (int64_t)storage->rank - (int64_t)storage->scale->n_dims;
    if (format) {
        storage->packed_bits = bits;
        storage->name = format->name;
    }
    if (storage->zero_point && storage->zero_point->n_dims == 0)
        storage->bytes -= i4q_tensor_size(storage->zero_point); /* the one that all weights share */
    return reshaped && format && stored && walk.at == conv->decoder &&
           i4q_fits_arithmetic(storage, storage->dims, storage->rank);
}

static const char *const steps[] = {"BitShift", "Concat", "Slice", "MatMul", "Div",
                                    "Mod",      "Cast",   "Sub",   "Mul",    NULL};

const struct i4q_form i4q_form_packed = {
    .execution = I4Q_DECODES_ONCE,
    .holds = holds,
    .narrows = true,
    .bytes = bytes,
    .opset = opset,
    .ir_version = ir_version,
    .emit = emit,
    .begins = begins,
    .steps = steps,
    .recognise = recognise,
};

// SPDX-License-Identifier: Apache-2.0
#include "forms/emit.h"

#include "base/half.h"

#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

enum { OPSET_UNSQUEEZE_INPUT = 13, IR_MICROSOFT = 10 };

/* One decoder in the making. */
struct maker {
    struct i4q_model *model;
    const struct i4q_weight *weight;
    struct i4q_decoder *decoder;
    bool failed; /* sticky: memory ran out */
};

/* ---- sizes and needs */

static size_t scale_count(const struct i4q_quantize_job *job)
{
    return job->channels * i4q_quantize_blocks(job);
}

static size_t element_size(const struct i4q_quantize_job *job)
{
    return job->half ? sizeof(uint16_t) : sizeof(float);
}

/* Whether decoding by arithmetic has to subtract something. */
static bool has_zero_points(const struct i4q_quantize_job *job)
{
    return job->zero_points || job->format->zero;
}

int64_t i4q_decoder_opset(const struct i4q_weight *weight, bool microsoft)
{
    const struct i4q_format *format = weight->format;
    if (weight->form == I4Q_FORM_CAST)
        return format->opset_cast;
    if (weight->form == I4Q_FORM_DQ && microsoft)
        return 0;
    if (weight->form == I4Q_FORM_DQ && weight->job->block)
        return i4q_formats[0].opset; /* block_size came with the 4-bit types */
    return weight->job->half ? format->opset_half : format->opset;
}

int64_t i4q_decoder_ir_version(const struct i4q_weight *weight, bool microsoft)
{
    return microsoft && weight->form == I4Q_FORM_DQ ? IR_MICROSOFT : weight->format->ir_version;
}

size_t i4q_decoder_bytes(const struct i4q_weight *weight)
{
    const struct i4q_quantize_job *job = weight->job;
    size_t scales = scale_count(job), zero = 0;
    if (weight->form == I4Q_FORM_DQ)
        zero = i4q_format_bytes(job->format, scales);
    else if (weight->form == I4Q_FORM_CAST ? has_zero_points(job) : job->zero_points != NULL)
        zero = scales * element_size(job);
    return i4q_format_bytes(job->format, weight->tensor.count) + scales * element_size(job) + zero;
}

/* ---- parts */

static char *new_name(struct maker *maker, const char *suffix)
{
    char *base = i4q_arena_format(&maker->model->arena, "%s_%s", maker->weight->value->name, suffix);
    char *name = base ? i4q_model_new_name(maker->model, base) : NULL;
    maker->failed |= !name;
    return name;
}

/* An initializer W_<suffix>; its bytes are borrowed, or zeros for the caller to fill when `data` is NULL. */
static Onnx__TensorProto *tensor(struct maker *maker, const char *suffix, int32_t type, const int64_t *dims,
                                 size_t rank, const void *data, size_t size)
{
    char *name = new_name(maker, suffix);
    Onnx__TensorProto *made = name ? i4q_edit_tensor(maker->model, name, type, dims, rank, data, size) : NULL;
    if (made)
        i4q_edit_follow_layout(made, maker->weight->proto);
    maker->failed |= !made || !i4q_list_add(&maker->model->arena, &maker->decoder->tensors, made);
    return made;
}

/* A node W_<op> that reads up to three values; its output is named after `output`, NULL for the weight
 * itself. */
static Onnx__NodeProto *node(struct maker *maker, const char *op, const char *output, const char *a,
                             const char *b, const char *c)
{
    const char *inputs[] = {a, b, c};
    size_t n = c ? 3 : b ? 2 : 1;
    const char *name = new_name(maker, op),
               *value = output ? new_name(maker, output) : maker->weight->value->name;
    if (maker->failed)
        return NULL;
    Onnx__NodeProto *made = i4q_edit_node(maker->model, op, name, inputs, n, &value, 1);
    maker->failed |= !made || !i4q_list_add(&maker->model->arena, &maker->decoder->nodes, made);
    return made;
}

static const char *output_of(const Onnx__NodeProto *node)
{
    return node ? node->output[0] : "";
}

static const char *name_of(const Onnx__TensorProto *tensor)
{
    return tensor ? tensor->name : "";
}

static void attribute(struct maker *maker, Onnx__NodeProto *node, const char *name, int64_t value)
{
    maker->failed |= !node || !i4q_edit_add_int(maker->model, node, name, value);
}

static Onnx__TensorProto *codes(struct maker *maker, const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = maker->weight->job;
    return tensor(maker, "quantized", job->format->onnx_type, dims, rank, job->codes,
                  i4q_format_bytes(job->format, maker->weight->tensor.count));
}

static Onnx__TensorProto *scale(struct maker *maker, const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = maker->weight->job;
    return tensor(maker, "scale", maker->weight->tensor.type, dims, rank, job->scales,
                  scale_count(job) * element_size(job));
}

/* The zero point of every channel as a code. Written also where it is 0, since some readers take a missing
 * one for INT8. */
static Onnx__TensorProto *zero_codes(struct maker *maker, const int64_t *dims, size_t rank)
{
    const struct i4q_format *format = maker->weight->job->format;
    size_t count = scale_count(maker->weight->job), size = i4q_format_bytes(format, count);
    Onnx__TensorProto *made = tensor(maker, "zero_point", format->onnx_type, dims, rank, NULL, size);
    const uint8_t *zero_points = maker->weight->job->zero_points;
    if (made && zero_points)
        memcpy(made->raw_data.data, zero_points, size);
    if (!made || zero_points || !format->zero)
        return made;
    memset(made->raw_data.data, format->zero * 0x11, size);
    if (count % 2)
        made->raw_data.data[size - 1] = (uint8_t)format->zero; /* the padding stays 0 */
    return made;
}

/* A number as element i of the weight's own type. */
static void put_float(const struct i4q_quantize_job *job, uint8_t *data, size_t i, float value)
{
    uint16_t half = i4q_half_from_float(value);
    memcpy(data + i * element_size(job), job->half ? (const void *)&half : &value, element_size(job));
}

static Onnx__TensorProto *zero_floats(struct maker *maker, const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = maker->weight->job;
    size_t count = scale_count(job);
    Onnx__TensorProto *made =
        tensor(maker, "zero_point", maker->weight->tensor.type, dims, rank, NULL, count * element_size(job));
    for (size_t i = 0; made && i < count; i++)
        put_float(job, made->raw_data.data, i, (float)i4q_quantize_zero_point(job, i));
    return made;
}

/* Shape of a scale that broadcasts along the channel axis: [1, ..., channels, 1, ...]. */
static const int64_t *column_dims(struct maker *maker)
{
    const struct i4q_weight *weight = maker->weight;
    int64_t *dims = i4q_arena_alloc(&maker->model->arena, weight->tensor.rank, sizeof *dims);
    maker->failed |= !dims;
    for (size_t i = 0; dims && i < weight->tensor.rank; i++)
        dims[i] = i == weight->channel_axis ? weight->tensor.dims[i] : 1;
    return dims;
}

/* W_shape and the Reshape that gives W its shape back. */
static void reshape(struct maker *maker, const char *value)
{
    const struct i4q_tensor *shape = &maker->weight->tensor;
    int64_t rank = (int64_t)shape->rank;
    Onnx__TensorProto *dims =
        tensor(maker, "shape", TYPE(INT64), &rank, 1, shape->dims, shape->rank * sizeof *shape->dims);
    node(maker, "Reshape", NULL, value, name_of(dims), NULL);
}

/* ---- forms */

/* The axis is always written: without it readers assume 1. */
static void make_dequantize(struct maker *maker, bool microsoft)
{
    const struct i4q_weight *weight = maker->weight;
    const struct i4q_quantize_job *job = weight->job;
    bool blocked = job->block != 0;
    const int64_t flat[] = {(int64_t)job->channels, (int64_t)job->inner};
    const int64_t blocks[] = {(int64_t)job->channels, (int64_t)i4q_quantize_blocks(job)};
    size_t scale_rank = blocked ? 2 : 1;
    const Onnx__TensorProto *q =
        blocked ? codes(maker, flat, 2) : codes(maker, weight->tensor.dims, weight->tensor.rank);
    const Onnx__TensorProto *s = scale(maker, blocks, scale_rank), *z = zero_codes(maker, blocks, scale_rank);
    Onnx__NodeProto *dequantize =
        node(maker, "DequantizeLinear", blocked ? "blocked" : NULL, name_of(q), name_of(s), name_of(z));
    if (dequantize && microsoft)
        dequantize->domain = (char *)"com.microsoft";
    attribute(maker, dequantize, "axis", blocked ? 1 : (int64_t)weight->channel_axis);
    if (blocked) {
        attribute(maker, dequantize, "block_size", (int64_t)job->block);
        reshape(maker, output_of(dequantize));
    }
}

/* (float(q) - z) * s by plain arithmetic, which ONNX Runtime folds at load. */
static void make_cast(struct maker *maker)
{
    const struct i4q_weight *weight = maker->weight;
    const struct i4q_quantize_job *job = weight->job;
    bool blocked = job->block != 0;
    size_t rank = blocked ? 3 : weight->tensor.rank;
    const int64_t channels = (int64_t)job->channels, blocks = (int64_t)i4q_quantize_blocks(job);
    const int64_t cube[] = {channels, blocks, (int64_t)job->block}, cube_scale[] = {channels, blocks, 1};
    const int64_t *scale_dims = blocked ? cube_scale : column_dims(maker);
    if (maker->failed)
        return;
    const Onnx__TensorProto *q = codes(maker, blocked ? cube : weight->tensor.dims, rank);
    const Onnx__TensorProto *s = scale(maker, scale_dims, rank);
    const Onnx__TensorProto *z = has_zero_points(job) ? zero_floats(maker, scale_dims, rank) : NULL;
    Onnx__NodeProto *last = node(maker, "Cast", "float", name_of(q), NULL, NULL);
    attribute(maker, last, "to", weight->tensor.type);
    if (z)
        last = node(maker, "Sub", "centred", output_of(last), name_of(z), NULL);
    last = node(maker, "Mul", blocked ? "blocked" : NULL, output_of(last), name_of(s), NULL);
    if (blocked)
        reshape(maker, output_of(last));
}

/* A constant that all packed weights of a graph share: made with the first. */
static const char *shared_constant(struct maker *maker, const char **name, const char *suffix, int32_t type,
                                   size_t rank, const void *data, size_t size)
{
    static const int64_t one = 1;
    if (!*name)
        *name = name_of(tensor(maker, suffix, type, &one, rank, data, size));
    return *name;
}

/* [n] → [n, 1] */
static const char *unsqueeze(struct maker *maker, const char *value, const char *output, int64_t opset,
                             struct i4q_decoder_shared *shared)
{
    static const int64_t axis[] = {1};
    if (opset >= OPSET_UNSQUEEZE_INPUT)
        return output_of(
            node(maker, "Unsqueeze", output, value,
                 shared_constant(maker, &shared->axis, "axis", TYPE(INT64), 1, axis, sizeof axis), NULL));
    Onnx__NodeProto *made = node(maker, "Unsqueeze", output, value, NULL, NULL);
    maker->failed |= !made || !i4q_edit_add_ints(maker->model, made, "axes", axis, 1);
    return output_of(made);
}

static const char *shift(struct maker *maker, const char *value, const char *by, const char *direction,
                         const char *output)
{
    Onnx__NodeProto *made = node(maker, "BitShift", output, value, by, NULL);
    maker->failed |= !made || !i4q_edit_add_string(maker->model, made, "direction", direction);
    return output_of(made);
}

/* The nibbles of all bytes in their order, as UINT8 [2 * bytes] viewed as [bytes, 2]: low (a shift to the
 * left drops the high one), then high. */
static const char *nibbles(struct maker *maker, const char *bytes, int64_t opset,
                           struct i4q_decoder_shared *shared)
{
    static const uint8_t four = 4;
    const char *by = shared_constant(maker, &shared->four, "four", TYPE(UINT8), 0, &four, 1);
    const char *low = shift(maker, shift(maker, bytes, by, "LEFT", "shifted"), by, "RIGHT", "low");
    const char *high = shift(maker, bytes, by, "RIGHT", "high");
    low = unsqueeze(maker, low, "low_column", opset, shared);
    high = unsqueeze(maker, high, "high_column", opset, shared);
    Onnx__NodeProto *pairs = node(maker, "Concat", "pairs", low, high, NULL);
    attribute(maker, pairs, "axis", 1);
    return output_of(pairs);
}

/* Drops the padding nibble of an odd number of codes. */
static const char *drop_padding(struct maker *maker, const char *pairs, struct i4q_decoder_shared *shared)
{
    static const int64_t all = -1, one = 1, zero = 0;
    const int64_t count = (int64_t)maker->weight->tensor.count;
    const char *flat = shared_constant(maker, &shared->flat, "flat", TYPE(INT64), 1, &all, sizeof all);
    Onnx__NodeProto *row = node(maker, "Reshape", "row", pairs, flat, NULL);
    Onnx__TensorProto *start = tensor(maker, "start", TYPE(INT64), &one, 1, NULL, sizeof zero);
    Onnx__TensorProto *end = tensor(maker, "end", TYPE(INT64), &one, 1, NULL, sizeof count);
    if (end)
        memcpy(end->raw_data.data, &count, sizeof count);
    return output_of(node(maker, "Slice", "codes", output_of(row), name_of(start), name_of(end)));
}

static const float eight = 8; /* the zero point of packed codes, as FLOAT and as FLOAT16 */
static const uint16_t half_eight = 0x4800;

static void make_packed(struct maker *maker, int64_t opset, struct i4q_decoder_shared *shared)
{
    const struct i4q_weight *weight = maker->weight;
    const struct i4q_quantize_job *job = weight->job;
    const struct i4q_tensor *shape = &weight->tensor;
    const int64_t *column = column_dims(maker);
    size_t rank = shape->rank, size = i4q_format_bytes(job->format, shape->count);
    const int64_t bytes = (int64_t)size, shape_rank = (int64_t)rank;
    if (maker->failed)
        return;
    const Onnx__TensorProto *packed = tensor(maker, "packed", TYPE(UINT8), &bytes, 1, job->codes, size);
    const Onnx__TensorProto *s = scale(maker, column, rank);
    const char *codes_row = nibbles(maker, name_of(packed), opset, shared);
    if (shape->count % 2)
        codes_row = drop_padding(maker, codes_row, shared);
    const Onnx__TensorProto *dims =
        tensor(maker, "shape", TYPE(INT64), &shape_rank, 1, shape->dims, rank * sizeof *shape->dims);
    Onnx__NodeProto *last = node(maker, "Reshape", "nibbles", codes_row, name_of(dims), NULL);
    last = node(maker, "Cast", "float", output_of(last), NULL, NULL);
    attribute(maker, last, "to", shape->type);
    const char *zero =
        job->zero_points ? name_of(zero_floats(maker, column, rank))
                         : shared_constant(maker, &shared->zero[job->half], "zero_point", shape->type, 0,
                                           job->half ? (const void *)&half_eight : &eight, element_size(job));
    last = node(maker, "Sub", "centred", output_of(last), zero, NULL);
    node(maker, "Mul", NULL, output_of(last), name_of(s), NULL);
}

bool i4q_decoder_make(struct i4q_model *model, const struct i4q_weight *weight, bool microsoft, int64_t opset,
                      struct i4q_decoder_shared *shared, struct i4q_decoder *decoder)
{
    struct maker maker = {.model = model, .weight = weight, .decoder = decoder};
    *decoder = (struct i4q_decoder){0};
    switch (weight->form) {
    case I4Q_FORM_DQ:
        make_dequantize(&maker, microsoft);
        break;
    case I4Q_FORM_CAST:
        make_cast(&maker);
        break;
    case I4Q_FORM_PACKED:
        make_packed(&maker, opset, shared);
        break;
    }
    return !maker.failed;
}

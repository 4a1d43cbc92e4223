// SPDX-License-Identifier: Apache-2.0
#include "int4q/inspection.h"

#include "int4q/checked.h"
#include "int4q/half.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

enum { TILE = 4096 }; /* codes unpacked at once; even */

const char *const i4q_kind_names[I4Q_KINDS] = {
    [I4Q_KIND_INT4] = "int4",           [I4Q_KIND_UINT4] = "uint4", [I4Q_KIND_INT8] = "int8",
    [I4Q_KIND_PACKED_U8] = "packed-u8", [I4Q_KIND_FLOAT] = "float", [I4Q_KIND_OTHER] = "other",
};

/* The integer types of codes, and the code that is 0 when they are symmetric. */
static const struct code_type {
    int32_t type;
    unsigned bits;
    bool is_signed;
    int centre;
} code_types[] = {{TYPE(INT4), 4, true, 0},
                  {TYPE(UINT4), 4, false, 8},
                  {TYPE(INT8), 8, true, 0},
                  {TYPE(UINT8), 8, false, 128}};

struct inspector {
    struct i4q_model *model;
    const struct i4q_kernels *kernels;
    struct i4q_inspection *result;
    struct i4q_error *error;
};

const char *i4q_zero_point_name(enum i4q_zero_point zero_point)
{
    static const char *const names[] = {
        [I4Q_ZERO_NONE] = "none", [I4Q_ZERO_SYMMETRIC] = "zero", [I4Q_ZERO_ASYMMETRIC] = "asymmetric"};
    return names[zero_point];
}

static const struct code_type *find_code_type(const Onnx__TensorProto *tensor)
{
    for (size_t i = 0; tensor && i < sizeof code_types / sizeof *code_types; i++)
        if (code_types[i].type == tensor->data_type)
            return &code_types[i];
    return NULL;
}

/* ---- problems */

static bool problem(struct inspector *inspector, const struct i4q_inspected *row, const char *format, ...)
    I4Q_PRINTF(3, 4);

static bool problem(struct inspector *inspector, const struct i4q_inspected *row, const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    char *text = i4q_arena_format(&inspector->model->arena, "node '%s': %s",
                                  i4q_node_label(row->conv->node->proto), what);
    return (text && i4q_patterns_add(&inspector->model->arena, &inspector->result->problems, text)) ||
           i4q_fail_memory(inspector->error);
}

/* The elements of a tensor, or a problem and an empty view. Types that no weight can have are not looked
 * into. */
static bool read_payload(struct inspector *inspector, const struct i4q_inspected *row,
                         const Onnx__TensorProto *tensor, struct i4q_view *payload)
{
    struct i4q_error found = {0};
    char buffer[16];
    *payload = (struct i4q_view){0};
    bool known = strncmp(i4q_tensor_type_name(tensor->data_type, buffer), "type ", 5) != 0;
    if (!known || i4q_tensor_payload(&inspector->model->arena, tensor, payload, &found))
        return true;
    if (found.code == I4Q_FAILED)
        return i4q_fail_memory(inspector->error);
    *payload = (struct i4q_view){0};
    return problem(inspector, row, "%s", found.message);
}

/* ---- scales */

static double element(int32_t type, const uint8_t *data, size_t i)
{
    if (type == TYPE(FLOAT16)) {
        uint16_t half;
        memcpy(&half, data + i * sizeof half, sizeof half);
        return i4q_half_to_float(half);
    }
    if (type == TYPE(DOUBLE)) {
        double wide;
        memcpy(&wide, data + i * sizeof wide, sizeof wide);
        return wide;
    }
    uint32_t bits = 0; /* BFLOAT16 is the upper half of a FLOAT */
    if (type == TYPE(BFLOAT16))
        memcpy((uint8_t *)&bits + 2, data + i * 2, 2);
    else
        memcpy(&bits, data + i * sizeof bits, sizeof bits);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static size_t element_size(int32_t type)
{
    return type == TYPE(DOUBLE)                              ? 8
           : type == TYPE(FLOAT)                             ? 4
           : type == TYPE(FLOAT16) || type == TYPE(BFLOAT16) ? 2
                                                             : 0;
}

static bool check_scales(struct inspector *inspector, struct i4q_inspected *row)
{
    const Onnx__TensorProto *scale = row->storage.scale;
    struct i4q_view payload;
    row->scale_min = row->scale_max = NAN;
    if (!scale || !element_size(scale->data_type))
        return !scale || problem(inspector, row, "scale '%s' is not of a float type", i4q_text(scale->name));
    if (!read_payload(inspector, row, scale, &payload))
        return false;
    size_t count = payload.size / element_size(scale->data_type), bad = 0;
    for (size_t i = 0; i < count; i++) {
        double value = element(scale->data_type, payload.data, i);
        bad += !(isfinite(value) && value > 0);
        row->scale_min = fmin(row->scale_min, value);
        row->scale_max = fmax(row->scale_max, value);
    }
    return !bad || problem(inspector, row, "scale '%s': %zu of %zu values are not finite and positive",
                           i4q_text(scale->name), bad, count);
}

/* ---- shapes, as the operator DequantizeLinear wants them */

static bool same_dims(const Onnx__TensorProto *a, const Onnx__TensorProto *b)
{
    return a->n_dims == b->n_dims &&
           (!a->n_dims || memcmp(a->dims, b->dims, a->n_dims * sizeof *a->dims) == 0);
}

static bool block_fits(const struct i4q_storage *storage)
{
    const Onnx__TensorProto *codes = storage->codes, *scale = storage->scale;
    if (scale->n_dims != codes->n_dims || storage->block < 0)
        return false;
    for (size_t i = 0; i < codes->n_dims; i++) {
        size_t dim = (size_t)codes->dims[i], blocks = (size_t)scale->dims[i];
        bool along = (int64_t)i == storage->axis;
        if (along ? storage->block && blocks != i4q_div_up(dim, (size_t)storage->block) : blocks != dim)
            return false;
    }
    return true;
}

static bool scale_fits(const struct i4q_storage *storage)
{
    const Onnx__TensorProto *codes = storage->codes, *scale = storage->scale;
    if (storage->granularity == I4Q_PER_TENSOR)
        return true;
    if (storage->granularity == I4Q_BLOCK)
        return block_fits(storage);
    return storage->axis >= 0 && storage->axis < (int64_t)codes->n_dims &&
           codes->dims[storage->axis] == scale->dims[0];
}

static bool check_shapes(struct inspector *inspector, const struct i4q_inspected *row)
{
    const struct i4q_storage *storage = &row->storage;
    if (!storage->codes || !storage->scale)
        return true;
    if (!scale_fits(storage))
        return problem(inspector, row, "scale '%s' does not fit the shape of '%s' along axis %" PRId64,
                       i4q_text(storage->scale->name), i4q_text(storage->codes->name), storage->axis);
    const Onnx__TensorProto *zero = storage->zero_point;
    if (!zero || (same_dims(zero, storage->scale) && zero->data_type == storage->codes->data_type))
        return true;
    return problem(inspector, row, "zero point '%s' has not the shape of the scale and the type of the codes",
                   i4q_text(zero->name));
}

/* ---- codes */

static int code_at(const struct code_type *type, const uint8_t *data, size_t i)
{
    if (type->bits == 8)
        return type->is_signed ? (int8_t)data[i] : data[i];
    int nibble = data[i / 2] >> 4 * (i % 2) & 15;
    return type->is_signed ? (nibble ^ 8) - 8 : nibble;
}

static bool check_zero_point(struct inspector *inspector, struct i4q_inspected *row, struct i4q_view *payload)
{
    const Onnx__TensorProto *zero = row->storage.zero_point;
    const struct code_type *type = find_code_type(zero);
    *payload = (struct i4q_view){0};
    if (!zero)
        return true;
    row->zero_point = I4Q_ZERO_SYMMETRIC;
    if (!type)
        return true;
    if (!read_payload(inspector, row, zero, payload))
        return false;
    size_t count = type->bits == 4 ? payload->size * 2 : payload->size;
    struct i4q_tensor shape;
    struct i4q_error ignored = {0};
    if (payload->size && i4q_tensor_describe(zero, &shape, &ignored))
        count = shape.count; /* without the padding nibble */
    for (size_t i = 0; i < count; i++)
        if (code_at(type, payload->data, i) != type->centre)
            row->zero_point = I4Q_ZERO_ASYMMETRIC;
    return true;
}

/* The codes of one weight, as rows of equal channel. */
struct codes {
    const struct code_type *type;
    struct i4q_view payload, zero_points;
    size_t count, channels, run; /* elements in all; channels; consecutive elements of one channel */
    bool zero_is_shared;         /* one zero point for all channels */
    bool *used;                  /* [channels] some code of it stands for another value than 0 */
};

static int zero_of(const struct codes *codes, size_t channel)
{
    if (!codes->zero_points.size)
        return 0;
    return code_at(codes->type, codes->zero_points.data, codes->zero_is_shared ? 0 : channel);
}

/* Signed codes and unsigned ones are compared in the same eight bits. */
static bool differs(const int8_t *codes, size_t n, int zero)
{
    for (size_t i = 0; i < n; i++)
        if (codes[i] != (int8_t)zero)
            return true;
    return false;
}

static void mark_used(const struct codes *codes, const int8_t *tile, size_t start, size_t n)
{
    for (size_t i = start; i < start + n;) {
        size_t run = i / codes->run, end = (run + 1) * codes->run, channel = run % codes->channels;
        end = end < start + n ? end : start + n;
        if (!codes->used[channel])
            codes->used[channel] = differs(tile + (i - start), end - i, zero_of(codes, channel));
        i = end;
    }
}

/* Codes as 8-bit numbers; the nibbles of UINT4 come without a sign. */
static void load_codes(const struct codes *codes, const struct i4q_kernels *kernels, size_t start, size_t n,
                       int8_t *tile)
{
    if (codes->type->bits == 8) {
        memcpy(tile, codes->payload.data + start, n);
        return;
    }
    kernels->unpack4(codes->payload.data + start / 2, n, tile);
    for (size_t i = 0; i < n && !codes->type->is_signed; i++)
        tile[i] &= 15;
}

static size_t count_zero_channels(const struct codes *codes, const struct i4q_kernels *kernels)
{
    int8_t tile[TILE];
    for (size_t start = 0; start < codes->count; start += TILE) {
        size_t n = codes->count - start < TILE ? codes->count - start : TILE;
        load_codes(codes, kernels, start, n, tile);
        mark_used(codes, tile, start, n);
    }
    size_t unused = 0;
    for (size_t i = 0; i < codes->channels; i++)
        unused += !codes->used[i];
    return unused;
}

/* Channels along the axis of the scale, or of the Conv where all share one. Blocks have zero points of their
 * own, and are not told apart here. */
static bool check_codes(struct inspector *inspector, struct i4q_inspected *row, struct i4q_view zero_points)
{
    const struct i4q_storage *storage = &row->storage;
    struct codes codes = {
        .type = find_code_type(storage->codes), .zero_points = zero_points, .count = storage->count};
    if (!storage->codes || !read_payload(inspector, row, storage->codes, &codes.payload))
        return !storage->codes;
    if (!codes.type || !codes.payload.size || storage->granularity == I4Q_BLOCK || !storage->rank)
        return true;
    bool per_channel = storage->granularity == I4Q_PER_CHANNEL && storage->axis >= 0 &&
                       storage->axis < (int64_t)storage->rank;
    size_t axis = per_channel ? (size_t)storage->axis : row->conv->op->channel_axis;
    codes.channels = (size_t)storage->dims[axis];
    codes.run = 1;
    for (size_t i = axis + 1; i < storage->rank; i++)
        codes.run *= (size_t)storage->dims[i];
    const Onnx__TensorProto *zero = storage->zero_point;
    codes.zero_is_shared = !zero || zero->n_dims != 1 || (size_t)zero->dims[0] != codes.channels;
    codes.used = i4q_arena_alloc(&inspector->model->arena, codes.channels, sizeof *codes.used);
    if (!codes.used)
        return i4q_fail_memory(inspector->error);
    row->has_zero_channels = true;
    row->zero_channels = count_zero_channels(&codes, inspector->kernels);
    return true;
}

/* ---- all Convs */

static enum i4q_kind kind_of(const struct i4q_storage *storage)
{
    if (storage->is_float)
        return I4Q_KIND_FLOAT;
    for (enum i4q_kind kind = 0; kind < I4Q_KIND_FLOAT; kind++)
        if (strcmp(i4q_kind_names[kind], storage->name) == 0)
            return kind;
    return I4Q_KIND_OTHER;
}

static bool inspect_row(struct inspector *inspector, const struct i4q_conv *conv, struct i4q_inspected *row)
{
    struct i4q_view zero_points;
    row->conv = conv;
    i4q_storage_describe(conv, &row->storage);
    enum i4q_kind kind = kind_of(&row->storage);
    inspector->result->totals[kind]++;
    if (kind == I4Q_KIND_FLOAT && !conv->weight->attached)
        inspector->result->float_bytes += row->storage.bytes;
    conv->weight->attached = row;
    return check_scales(inspector, row) && check_shapes(inspector, row) &&
           check_zero_point(inspector, row, &zero_points) && check_codes(inspector, row, zero_points);
}

bool i4q_inspect(struct i4q_model *model, const struct i4q_kernels *kernels,
                 struct i4q_inspection *inspection, struct i4q_error *error)
{
    struct inspector inspector = {model, kernels, inspection, error};
    *inspection = (struct i4q_inspection){
        .model = model, .opset = i4q_opset_version(model->proto->opset_import, model->proto->n_opset_import)};
    if (!i4q_convs_find(model, &inspection->convs, &inspection->n_rows, error))
        return false;
    inspection->rows = i4q_arena_alloc(&model->arena, inspection->n_rows, sizeof *inspection->rows);
    if (!inspection->rows)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < inspection->n_rows; i++)
        if (!inspect_row(&inspector, &inspection->convs[i], &inspection->rows[i]))
            return false;
    return true;
}

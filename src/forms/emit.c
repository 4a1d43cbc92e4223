// SPDX-License-Identifier: Apache-2.0
#include "forms/emit.h"

#include "base/half.h"

#include <inttypes.h>
#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

/* ---- names and lists */

static char *new_name(struct i4q_emission *emission, const char *base)
{
    char *name = emission->failed || !base ? NULL : i4q_graph_new_name(&emission->model->graph, base);
    emission->failed |= !name;
    return name;
}

/* Of what belongs to the weight, and of what is for all. */
static char *own_name(struct i4q_emission *emission, const char *suffix)
{
    const char *owner = emission->weight->value->name;
    return new_name(emission, i4q_arena_format(&emission->model->arena, "%s_%s", owner, suffix));
}

static char *common_name(struct i4q_emission *emission, const char *suffix)
{
    return new_name(emission, i4q_arena_format(&emission->model->arena, "i4q_%s", suffix));
}

static bool add(struct i4q_emission *emission, struct i4q_list *list, void *item)
{
    emission->failed |= !item || !i4q_list_add(&emission->model->arena, list, item);
    return !emission->failed;
}

static const char *name_of(const Onnx__TensorProto *tensor)
{
    return tensor ? tensor->name : "";
}

/* ---- initializers */

static Onnx__TensorProto *named_tensor(struct i4q_emission *emission, char *name, int32_t type,
                                       const int64_t *dims, size_t rank, const void *data, size_t size)
{
    Onnx__TensorProto *made =
        name ? i4q_edit_tensor(emission->model, name, type, dims, rank, data, size) : NULL;
    if (!add(emission, &emission->tensors, made))
        return NULL;
    i4q_edit_follow_layout(made, emission->weight->proto);
    return made;
}

Onnx__TensorProto *i4q_emit_tensor(struct i4q_emission *emission, const char *suffix, int32_t type,
                                   const int64_t *dims, size_t rank, const void *data, size_t size)
{
    return named_tensor(emission, own_name(emission, suffix), type, dims, rank, data, size);
}

const char *i4q_emit_codes(struct i4q_emission *emission, const char *suffix, int32_t type,
                           const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = emission->job;
    Onnx__TensorProto *made =
        i4q_emit_tensor(emission, suffix, type, dims, rank, job->codes, i4q_job_code_bytes(job));
    if (made)
        i4q_edit_take_place(made, emission->weight->proto);
    return name_of(made);
}

const char *i4q_emit_scales(struct i4q_emission *emission, const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = emission->job;
    return name_of(i4q_emit_tensor(emission, "scale", emission->weight->tensor.type, dims, rank, job->scales,
                                   i4q_job_scale_bytes(job)));
}

/* Room for a payload that the job does not hold as it is written; NULL where there are no numbers. */
static uint8_t *new_payload(struct i4q_emission *emission, size_t size)
{
    uint8_t *data = emission->job->codes ? i4q_arena_alloc(&emission->model->arena, size, 1) : NULL;
    emission->failed |= emission->job->codes && !data;
    return data;
}

const char *i4q_emit_scales_narrow(struct i4q_emission *emission, const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = emission->job;
    size_t size = i4q_job_scales(job) * i4q_real_size(true);
    uint8_t *data = new_payload(emission, size);
    for (size_t i = 0; data && i < i4q_job_scales(job); i++)
        i4q_real_store(data, true, i, i4q_real_load(job->scales, job->half, i));
    return name_of(i4q_emit_tensor(emission, "scale", TYPE(FLOAT16), dims, rank, data, size));
}

/* The same zero point for all. */
static const uint8_t *symmetric_codes(struct i4q_emission *emission, size_t size)
{
    const struct i4q_format *format = emission->job->format;
    uint8_t *data = new_payload(emission, size);
    for (size_t i = 0; data && format->zero && i < i4q_job_scales(emission->job); i++)
        i4q_format_store(format, data, i, format->zero);
    return data;
}

const char *i4q_emit_zero_codes(struct i4q_emission *emission, const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = emission->job;
    size_t size = i4q_job_zero_bytes(job);
    const uint8_t *data = job->asymmetric ? job->zero_points : symmetric_codes(emission, size);
    return name_of(i4q_emit_tensor(emission, "zero_point", job->format->type, dims, rank, data, size));
}

const char *i4q_emit_zero_floats(struct i4q_emission *emission, const int64_t *dims, size_t rank)
{
    const struct i4q_quantize_job *job = emission->job;
    size_t size = i4q_job_scale_bytes(job);
    uint8_t *data = new_payload(emission, size);
    for (size_t i = 0; data && i < i4q_job_scales(job); i++)
        i4q_real_store(data, job->half, i, (float)i4q_job_zero_point(job, i));
    return name_of(
        i4q_emit_tensor(emission, "zero_point", emission->weight->tensor.type, dims, rank, data, size));
}

const char *i4q_emit_shape(struct i4q_emission *emission)
{
    const struct i4q_tensor *shape = &emission->weight->tensor;
    int64_t rank = (int64_t)shape->rank;
    return name_of(i4q_emit_tensor(emission, "shape", TYPE(INT64), &rank, 1, shape->dims,
                                   shape->rank * sizeof *shape->dims));
}

const char *i4q_emit_shared(struct i4q_emission *emission, const char *key, const char *suffix, int32_t type,
                            const int64_t *dims, size_t rank, const void *data, size_t size)
{
    void **slot = emission->failed ? NULL : i4q_table_at(emission->shared, key);
    emission->failed |= !slot;
    if (slot && !*slot)
        *slot = (void *)name_of(
            named_tensor(emission, common_name(emission, suffix), type, dims, rank, data, size));
    return emission->failed ? "" : *slot;
}

const char *i4q_emit_number(struct i4q_emission *emission, float number)
{
    struct i4q_arena *arena = &emission->model->arena;
    char *key = i4q_arena_format(arena, "float %a", (double)number);
    float *data = i4q_arena_alloc(arena, 1, sizeof *data);
    emission->failed |= !key || !data;
    if (emission->failed)
        return "";
    *data = number;
    return i4q_emit_shared(emission, key, "number", I4Q_TYPE(FLOAT), NULL, 0, data, sizeof *data);
}

const int64_t *i4q_emit_column(struct i4q_emission *emission)
{
    const struct i4q_weight *weight = emission->weight;
    int64_t *dims = i4q_arena_alloc(&emission->model->arena, weight->tensor.rank, sizeof *dims);
    emission->failed |= !dims;
    for (size_t i = 0; dims && i < weight->tensor.rank; i++)
        dims[i] = i == weight->channel_axis ? weight->tensor.dims[i] : 1;
    return dims;
}

/* ---- nodes */

static Onnx__NodeProto *named_node(struct i4q_emission *emission, const char *op, const char *name,
                                   const char *value, const char *const inputs[3])
{
    size_t n = inputs[2] ? 3 : inputs[1] ? 2 : 1;
    Onnx__NodeProto *made =
        name && value ? i4q_edit_node(emission->model, op, name, inputs, n, &value, 1) : NULL;
    return add(emission, &emission->nodes, made) ? made : NULL;
}

Onnx__NodeProto *i4q_emit_node(struct i4q_emission *emission, const char *op, const char *output,
                               const char *a, const char *b, const char *c)
{
    const char *name = own_name(emission, op);
    const char *value = output ? own_name(emission, output) : emission->weight->value->name;
    return named_node(emission, op, name, value, (const char *const[]){a, b, c});
}

Onnx__NodeProto *i4q_emit_step(struct i4q_emission *emission, const char *op, const char *a, const char *b,
                               const char *c)
{
    return named_node(emission, op, "", new_name(emission, "i4q"), (const char *const[]){a, b, c});
}

const char *i4q_emit_zero_bytes(struct i4q_emission *emission, const int64_t *dims, size_t rank)
{
    size_t size = i4q_job_scales(emission->job);
    uint8_t *data = new_payload(emission, size);
    for (size_t i = 0; data && i < size; i++)
        data[i] = (uint8_t)i4q_job_zero_point(emission->job, i);
    return name_of(i4q_emit_tensor(emission, "zero_point", TYPE(UINT8), dims, rank, data, size));
}

struct i4q_emit_integers i4q_emit_integers(struct i4q_emission *emission)
{
    const struct i4q_tensor *shape = &emission->weight->tensor;
    const struct i4q_quantize_job *job = emission->job;
    const int64_t flat[] = {(int64_t)job->channels, (int64_t)job->inner};
    const int64_t scales[] = {(int64_t)job->channels, (int64_t)i4q_job_blocks(job)};
    size_t scale_rank = job->block ? 2 : 1;
    struct i4q_emit_integers made;
    made.codes = i4q_emit_codes(emission, "quantized", job->format->type, job->block ? flat : shape->dims,
                                job->block ? 2 : shape->rank);
    made.scale = i4q_emit_scales(emission, scales, scale_rank);
    made.zero = i4q_emit_zero_codes(emission, scales, scale_rank);
    return made;
}

void i4q_emit_unread(struct i4q_emission *emission, const char *name)
{
    add(emission, &emission->unread, (char *)name);
}

static void swap(struct i4q_emission *emission, const Onnx__NodeProto *old, Onnx__NodeProto *made)
{
    struct i4q_swap *swap = i4q_arena_alloc(&emission->model->arena, 1, sizeof *swap);
    if (swap)
        *swap = (struct i4q_swap){old, made};
    add(emission, &emission->swaps, swap);
    for (size_t i = 0; i < old->n_input; i++)
        i4q_emit_unread(emission, old->input[i]);
    for (size_t i = 0; i < old->n_output; i++)
        i4q_emit_unread(emission, old->output[i]);
}

Onnx__NodeProto *i4q_emit_swap(struct i4q_emission *emission, const Onnx__NodeProto *old, const char *op,
                               const char *const *inputs, size_t n, const char *output)
{
    Onnx__NodeProto *made =
        emission->failed ? NULL : i4q_edit_node(emission->model, op, old->name, inputs, n, &output, 1);
    emission->failed |= !made;
    if (made)
        swap(emission, old, made);
    return made;
}

void i4q_emit_rewire(struct i4q_emission *emission, const struct i4q_use *use, const char *value)
{
    struct i4q_rewire *rewire =
        emission->failed ? NULL : i4q_arena_alloc(&emission->model->arena, 1, sizeof *rewire);
    if (rewire)
        *rewire = (struct i4q_rewire){use, value};
    add(emission, &emission->rewires, rewire);
}

void i4q_emit_drop(struct i4q_emission *emission, const Onnx__NodeProto *old)
{
    if (!emission->failed)
        swap(emission, old, NULL);
}

const char *i4q_emit_output(const Onnx__NodeProto *node)
{
    return node ? node->output[0] : "";
}

/* Most decoders of a graph have the same attributes: one message is in all of them. */
void i4q_emit_int(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name, int64_t value)
{
    char *key = i4q_arena_format(&emission->model->arena, "%s=%" PRId64, name, value);
    void **slot = node && key ? i4q_table_at(emission->shared, key) : NULL;
    if (slot && *slot)
        emission->failed |= !i4q_edit_add_attribute(emission->model, node, *slot);
    else
        emission->failed |= !slot || !i4q_edit_add_int(emission->model, node, name, value);
    if (slot && !*slot && !emission->failed)
        *slot = node->attribute[node->n_attribute - 1];
}

void i4q_emit_ints(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name,
                   const int64_t *values, size_t n)
{
    emission->failed |= !node || !i4q_edit_add_ints(emission->model, node, name, values, n);
}

void i4q_emit_float(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name, float value)
{
    emission->failed |= !node || !i4q_edit_add_float(emission->model, node, name, value);
}

void i4q_emit_string(struct i4q_emission *emission, Onnx__NodeProto *node, const char *name,
                     const char *value)
{
    emission->failed |= !node || !i4q_edit_add_string(emission->model, node, name, value);
}

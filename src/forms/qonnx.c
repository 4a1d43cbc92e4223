// SPDX-License-Identifier: Apache-2.0
#include "forms/qonnx.h"

#include "base/half.h"
#include "forms/form.h"

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

const char i4q_qonnx_domain[] = "qonnx.custom_op.general";

/* ---- parts */

/* A FLOAT of rank 0, as all of Quant's inputs but the first two are. */
static const char *scalar(struct i4q_emission *emission, const char *suffix, float value)
{
    uint8_t *data = i4q_arena_alloc(&emission->model->arena, 1, sizeof value);
    emission->failed |= !data;
    if (data)
        i4q_real_store(data, false, 0, value);
    const Onnx__TensorProto *made =
        i4q_emit_tensor(emission, suffix, TYPE(FLOAT), NULL, 0, data, sizeof value);
    return made ? made->name : "";
}

static Onnx__NodeProto *quant(struct i4q_emission *emission, const struct i4q_quant_grid *grid,
                              const char *const inputs[4], const char *output)
{
    Onnx__NodeProto *made = i4q_emit_node(emission, "Quant", output, inputs[0], inputs[1], inputs[2]);
    if (!made || !i4q_edit_set_input(emission->model, made, 3, inputs[3])) {
        emission->failed = true;
        return NULL;
    }
    made->domain = (char *)i4q_qonnx_domain;
    i4q_emit_int(emission, made, "signed", grid->is_signed);
    i4q_emit_int(emission, made, "narrow", grid->narrow);
    i4q_emit_string(emission, made, "rounding_mode", "ROUND");
    return made;
}

Onnx__NodeProto *i4q_emit_quant(struct i4q_emission *emission, const struct i4q_quant_grid *grid,
                                const char *value, const int64_t *scale_dims, size_t rank, const char *output)
{
    const Onnx__TensorProto *scale =
        i4q_emit_tensor(emission, "scale", TYPE(FLOAT), scale_dims, scale_dims ? rank : 0, grid->scales,
                        grid->count * sizeof(float));
    const char *inputs[] = {value, scale ? scale->name : "", scalar(emission, "zeropt", 0),
                            scalar(emission, "bitwidth", (float)grid->bits)};
    return quant(emission, grid, inputs, output);
}

/* ---- weights */

/* Readers behind the first get a node of their own. */
static void fork(struct i4q_emission *emission, const struct i4q_quant_grid *grid,
                 const Onnx__NodeProto *first)
{
    const struct i4q_use *use = emission->weight->value->uses;
    for (use = use ? use->next : NULL; use && first; use = use->next) {
        const char *inputs[] = {first->input[0], first->input[1], first->input[2], first->input[3]};
        const Onnx__NodeProto *made = quant(emission, grid, inputs, "again");
        i4q_emit_rewire(emission, use, i4q_emit_output(made));
    }
}

void i4q_emit_quant_weight(struct i4q_emission *emission, const struct i4q_quant_grid *grid,
                           const char *stored)
{
    const struct i4q_tensor *shape = &emission->weight->tensor;
    const int64_t *scale_dims = grid->count == 1 ? NULL : i4q_emit_column(emission);
    bool half = shape->type == TYPE(FLOAT16);
    Onnx__NodeProto *last =
        i4q_emit_quant(emission, grid, stored, scale_dims, shape->rank, half ? "quantized" : NULL);
    if (!half) {
        fork(emission, grid, last);
        return;
    }
    last = i4q_emit_node(emission, "Cast", NULL, i4q_emit_output(last), NULL, NULL);
    i4q_emit_int(emission, last, "to", shape->type);
}

/* ---- the form */

static bool holds(const struct i4q_weight *weight, const struct i4q_quantize_job *job)
{
    return job->format->floats && !job->block && !job->asymmetric;
}

/* With zero point and bit width. */
static size_t bytes(const struct i4q_quantize_job *job)
{
    return (i4q_job_count(job) + i4q_job_scales(job) + 2) * sizeof(float);
}

static int64_t none(const struct i4q_quantize_job *job)
{
    return 0;
}

/* The scales of the job as FLOAT; what they multiply is exact then, whatever the weight's own type. */
static float *widen_scales(struct i4q_emission *emission)
{
    const struct i4q_quantize_job *job = emission->job;
    float *scales = i4q_arena_alloc(&emission->model->arena, i4q_job_scales(job), sizeof *scales);
    for (size_t i = 0; scales && i < i4q_job_scales(job); i++)
        scales[i] = i4q_real_load(job->scales, job->half, i);
    return scales;
}

/* Whether a code is the lowest one. */
static bool decode(const struct i4q_quantize_job *job, const float *scales, float *floats)
{
    bool lowest = false;
    for (size_t i = 0; i < i4q_job_count(job); i++) {
        int code = i4q_format_load(job->format, job->codes, i);
        floats[i] = (float)code * scales[i / job->inner % job->channels];
        lowest |= code == job->format->code_min;
    }
    return lowest;
}

static void emit(struct i4q_emission *emission)
{
    const struct i4q_quantize_job *job = emission->job;
    struct i4q_quant_grid grid = {
        .bits = job->format->bits, .is_signed = true, .narrow = true, .count = i4q_job_scales(job)};
    float *floats = NULL;
    if (job->codes) {
        float *scales = widen_scales(emission);
        floats = i4q_arena_alloc(&emission->model->arena, i4q_job_count(job), sizeof *floats);
        emission->failed |= !scales || !floats;
        if (emission->failed)
            return;
        grid.narrow = !decode(job, scales, floats);
        grid.scales = scales;
    }
    const struct i4q_tensor *shape = &emission->weight->tensor;
    Onnx__TensorProto *stored = i4q_emit_tensor(emission, "float", TYPE(FLOAT), shape->dims, shape->rank,
                                                floats, shape->count * sizeof(float));
    if (!stored)
        return;
    i4q_edit_take_place(stored, emission->weight->proto);
    i4q_emit_quant_weight(emission, &grid, stored->name);
}

/* Read by what reads all weights that others have put on a grid: fake.h. */
static bool begins(const struct i4q_node *node)
{
    return false;
}

const struct i4q_form i4q_form_qonnx = {
    .domain = i4q_qonnx_domain,
    .holds = holds,
    .bytes = bytes,
    .opset = none,
    .ir_version = none,
    .emit = emit,
    .begins = begins,
};

// SPDX-License-Identifier: Apache-2.0
/* (float(code) - zero point) * scale by Cast, (Sub,) Mul; with blocks on the 3-D view [channels, blocks,
 * block], then Reshape. */
#include "forms/form.h"
#include "forms/recognise.h"
#include "onnx/dtype.h"

/* ---- needs */

/* The 3-D view has no room for a shorter last block. */
static bool holds(const struct i4q_weight *weight, const struct i4q_quantize_job *job)
{
    return i4q_format_is_integers(job->format) && (!job->block || job->inner % job->block == 0);
}

static size_t bytes(const struct i4q_quantize_job *job)
{
    return i4q_job_code_bytes(job) + (i4q_job_has_zero_points(job) ? 2 : 1) * i4q_job_scale_bytes(job);
}

static int64_t opset(const struct i4q_quantize_job *job)
{
    return i4q_dtype_find(job->format->type)->opset;
}

static int64_t ir_version(const struct i4q_quantize_job *job)
{
    return i4q_dtype_find(job->format->type)->ir_version;
}

/* ---- writing */

static void decode(struct i4q_emission *emission, const int64_t *dims, const int64_t *scale_dims, size_t rank,
                   const char *output)
{
    const struct i4q_quantize_job *job = emission->job;
    const char *codes = i4q_emit_codes(emission, "quantized", job->format->type, dims, rank);
    const char *scale = i4q_emit_scales(emission, scale_dims, rank);
    const char *zero = i4q_job_has_zero_points(job) ? i4q_emit_zero_floats(emission, scale_dims, rank) : NULL;
    Onnx__NodeProto *last = i4q_emit_node(emission, "Cast", "float", codes, NULL, NULL);
    i4q_emit_int(emission, last, "to", emission->weight->tensor.type);
    if (zero)
        last = i4q_emit_node(emission, "Sub", "centred", i4q_emit_output(last), zero, NULL);
    i4q_emit_node(emission, "Mul", output, i4q_emit_output(last), scale, NULL);
}

static void emit(struct i4q_emission *emission)
{
    const struct i4q_tensor *shape = &emission->weight->tensor;
    const struct i4q_quantize_job *job = emission->job;
    const int64_t channels = (int64_t)job->channels, blocks = (int64_t)i4q_job_blocks(job);
    const int64_t cube[] = {channels, blocks, (int64_t)job->block}, scales[] = {channels, blocks, 1};
    if (!job->block) {
        decode(emission, shape->dims, i4q_emit_column(emission), shape->rank, NULL);
        return;
    }
    decode(emission, cube, scales, 3, "blocked");
    const Onnx__NodeProto *last =
        emission->nodes.count ? emission->nodes.items[emission->nodes.count - 1] : NULL;
    i4q_emit_node(emission, "Reshape", NULL, i4q_emit_output(last), i4q_emit_shape(emission), NULL);
}

/* ---- reading */

static bool begins(const struct i4q_node *node)
{
    return i4q_node_is(node->proto, "Cast") && i4q_reads_integers(node);
}

static bool recognise(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage)
{
    struct i4q_walk walk = i4q_walk_from(arena, conv, storage);
    bool known = i4q_walk_reshape(&walk);
    const struct i4q_node *mul = i4q_walk_step(&walk, "Mul"), *sub = i4q_walk_step(&walk, "Sub");
    known &= i4q_describe_arithmetic(storage, conv->decoder, mul, sub) &&
             i4q_fits_arithmetic(storage, storage->codes ? storage->codes->dims : NULL,
                                 storage->codes ? storage->codes->n_dims : 0);
    if (storage->codes && storage->scale) /* axes are counted from the last */
        storage->axis += (int64_t)storage->codes->n_dims - (int64_t)storage->scale->n_dims;
    return known && walk.at == conv->decoder;
}

static const char *const steps[] = {"Sub", "Mul", NULL};

const struct i4q_form i4q_form_cast = {
    .word = "cast",
    .execution = I4Q_DECODES_ONCE,
    .holds = holds,
    .bytes = bytes,
    .opset = opset,
    .ir_version = ir_version,
    .emit = emit,
    .begins = begins,
    .steps = steps,
    .recognise = recognise,
};

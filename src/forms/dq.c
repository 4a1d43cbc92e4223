// SPDX-License-Identifier: Apache-2.0
/* One DequantizeLinear a weight; with blocks on the 2-D view [channels, inner], then Reshape. */
#include "forms/form.h"
#include "forms/recognise.h"
#include "onnx/dtype.h"

enum { OPSET_AXIS = 13, OPSET_BLOCKS = 21, IR_MICROSOFT = 10 };

static const char MICROSOFT[] = "com.microsoft";

/* ---- needs */

static bool holds(const struct i4q_weight *weight, const struct i4q_quantize_job *job)
{
    return i4q_format_is_integers(job->format);
}

static bool holds_microsoft(const struct i4q_weight *weight, const struct i4q_quantize_job *job)
{
    return i4q_format_is_integers(job->format) && !job->block;
}

static size_t bytes(const struct i4q_quantize_job *job)
{
    return i4q_job_code_bytes(job) + i4q_job_scale_bytes(job) + i4q_job_zero_bytes(job);
}

static int64_t opset(const struct i4q_quantize_job *job)
{
    int64_t codes = i4q_dtype_find(job->format->type)->dequantize,
            needed = job->block ? OPSET_BLOCKS : OPSET_AXIS;
    int64_t scale = i4q_dtype_find(job->half ? I4Q_TYPE(FLOAT16) : I4Q_TYPE(FLOAT))->dequantize;
    needed = needed < codes ? codes : needed;
    return needed < scale ? scale : needed;
}

static int64_t ir_version(const struct i4q_quantize_job *job)
{
    return i4q_dtype_find(job->format->type)->ir_version;
}

static int64_t opset_microsoft(const struct i4q_quantize_job *job)
{
    return 0;
}

static int64_t ir_version_microsoft(const struct i4q_quantize_job *job)
{
    return IR_MICROSOFT;
}

/* ---- writing */

/* The axis is always written: without it readers assume 1. So is the zero point, also where it is 0, since
 * some readers take a missing one for INT8. */
static Onnx__NodeProto *dequantize(struct i4q_emission *emission, const char *output)
{
    struct i4q_emit_integers stored = i4q_emit_integers(emission);
    Onnx__NodeProto *node =
        i4q_emit_node(emission, "DequantizeLinear", output, stored.codes, stored.scale, stored.zero);
    i4q_emit_int(emission, node, "axis", emission->job->block ? 1 : (int64_t)emission->weight->channel_axis);
    return node;
}

static void emit(struct i4q_emission *emission)
{
    const struct i4q_quantize_job *job = emission->job;
    if (!job->block) {
        dequantize(emission, NULL);
        return;
    }
    Onnx__NodeProto *node = dequantize(emission, "blocked");
    i4q_emit_int(emission, node, "block_size", (int64_t)job->block);
    i4q_emit_node(emission, "Reshape", NULL, i4q_emit_output(node), i4q_emit_shape(emission), NULL);
}

static void emit_microsoft(struct i4q_emission *emission)
{
    Onnx__NodeProto *node = dequantize(emission, NULL);
    if (node)
        node->domain = (char *)MICROSOFT;
}

/* ---- reading */

/* What Cast or Sub makes codes of begins with these: see fused.c. */
static bool begins(const struct i4q_node *node)
{
    const struct i4q_value *codes = i4q_input_value(node, 0);
    const Onnx__NodeProto *maker = codes && codes->producer ? codes->producer->proto : NULL;
    return i4q_node_is(node->proto, "DequantizeLinear") &&
           !(maker && (i4q_node_is(maker, "Cast") || i4q_node_is(maker, "Sub")));
}

static bool begins_microsoft(const struct i4q_node *node)
{
    return i4q_node_is_of(node->proto, MICROSOFT, "DequantizeLinear");
}

/* Inputs: codes, scale, zero point. */
static bool recognise(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage)
{
    const struct i4q_node *node = conv->decoder;
    struct i4q_walk walk = i4q_walk_from(arena, conv, storage);
    bool known = i4q_walk_reshape(&walk);
    storage->is_dequantize = true;
    storage->axis = i4q_node_int(node->proto, "axis", 1);
    storage->block = i4q_node_int(node->proto, "block_size", 0);
    i4q_describe_integers(storage, i4q_input_tensor(node, 0), i4q_input_tensor(node, 1),
                          i4q_input_tensor(node, 2));
    return known && walk.at == node && (!i4q_has_input(node, 2) || storage->zero_point);
}

const struct i4q_form i4q_form_dq = {
    .word = "dq",
    .holds = holds,
    .bytes = bytes,
    .opset = opset,
    .ir_version = ir_version,
    .emit = emit,
    .begins = begins,
    .recognise = recognise,
};

/* ONNX Runtime's own, which leaves the opset alone. */
const struct i4q_form i4q_form_dq_microsoft = {
    .word = "dq",
    .domain = MICROSOFT,
    .holds = holds_microsoft,
    .bytes = bytes,
    .opset = opset_microsoft,
    .ir_version = ir_version_microsoft,
    .emit = emit_microsoft,
    .begins = begins_microsoft,
    .recognise = recognise,
};

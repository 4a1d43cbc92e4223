// SPDX-License-Identifier: Apache-2.0
/* com.int4q::ConvNBits: Conv, bias and activation as one node that computes from the codes, with a function
 * body for runtimes that do not know it. docs/conv_nbits.md has what is written. */
#include "base/checked.h"
#include "forms/form.h"
#include "forms/nbits_function.h"
#include "forms/nbits_node.h"
#include "forms/recognise.h"
#include "quantize/range.h"

enum { OPSET = 21, IR_VERSION = 10, ACCURACY_LEVEL = 4, MAX_DEPTH = 64 };

/* ---- which Convs */

/* A Conv that is to become one node. */
struct reader {
    struct i4q_fusion fusion;
    const char *bias; /* the initializer; "": none */
};

/* Called for each use of a weight, that of its copies by Identity included; false ends the walk. */
typedef bool use_fn(void *context, const struct i4q_use *use);

static bool each_use(const struct i4q_value *value, use_fn *each, void *context, int depth)
{
    for (const struct i4q_use *use = value->uses; use; use = use->next) {
        const struct i4q_node *node = use->node;
        bool copies = i4q_node_is(node->proto, "Identity") && node->proto->n_output == 1 && depth < MAX_DEPTH;
        const struct i4q_value *copy = copies ? i4q_output_value(node, 0) : NULL;
        if (copy ? !each_use(copy, each, context, depth + 1) : !each(context, use))
            return false;
    }
    return true;
}

/* The initializer that the bias is, itself or behind Identity nodes; "" without one, NULL where it is none.
 */
static const char *find_bias(const struct i4q_node *node)
{
    const char *name = node->proto->n_input > 2 ? i4q_text(node->proto->input[2]) : "";
    if (!*name)
        return "";
    struct i4q_value *value = i4q_scope_resolve(node->scope, name);
    if (!value) /* a corrected bias is younger than the index */
        return name;
    value = i4q_value_behind_identities(value);
    return value->initializer && value->scope == node->scope ? value->name : NULL;
}

static bool make_reader(const struct i4q_weight *weight, const struct i4q_use *use, struct reader *reader)
{
    reader->bias = find_bias(use->node);
    return use->input == 1 && use->node->scope == weight->value->scope && reader->bias &&
           i4q_fusion_find(use->node, weight->tensor.dims, weight->tensor.rank, &reader->fusion);
}

static bool check_use(void *context, const struct i4q_use *use)
{
    struct reader reader;
    return make_reader(context, use, &reader);
}

/* All Convs that read the weight become such nodes, or none does. */
static bool holds(const struct i4q_weight *weight, const struct i4q_quantize_job *job)
{
    bool width = i4q_format_is_integers(job->format) ? job->format->bits == 4 || job->format->bits == 8
                                                     : job->format->packed && !job->block;
    bool plain = !job->half && job->format != &i4q_format_uint8 && weight->channel_axis == 0;
    return width && plain && weight->op->is_conv && each_use(weight->value, check_use, (void *)weight, 0);
}

/* ---- needs */

/* Zero points of codes in bytes are bytes. */
static size_t bytes(const struct i4q_quantize_job *job)
{
    size_t zeros = job->format->packed ? i4q_job_scales(job) : i4q_job_zero_bytes(job);
    return i4q_job_code_bytes(job) + i4q_job_scale_bytes(job) + zeros;
}

static int64_t opset(const struct i4q_quantize_job *job)
{
    return OPSET;
}

static int64_t ir_version(const struct i4q_quantize_job *job)
{
    return IR_VERSION;
}

/* ---- writing */

struct writer {
    struct i4q_emission *emission;
    struct i4q_emit_integers stored;
};

/* All of them, always: a function has no default for lists, and readers need not know those of the others. */
static void add_attributes(struct i4q_emission *to, Onnx__NodeProto *node, const struct i4q_fusion *fusion,
                           const struct i4q_range *input)
{
    const struct i4q_tensor *weight = &to->weight->tensor;
    const struct i4q_quantize_job *job = to->job;
    i4q_emit_ints(to, node, "weight_shape", weight->dims, weight->rank);
    i4q_emit_ints(to, node, "strides", fusion->strides, fusion->dimensions);
    i4q_emit_ints(to, node, "dilations", fusion->dilations, fusion->dimensions);
    i4q_emit_ints(to, node, "pads", fusion->pads, 2 * fusion->dimensions);
    i4q_emit_int(to, node, "group", fusion->group);
    i4q_emit_int(to, node, "bits", job->format->bits);
    i4q_emit_int(to, node, "axis", job->block ? 1 : 0);
    i4q_emit_int(to, node, "block_size", (int64_t)job->block);
    i4q_emit_int(to, node, "accuracy_level", ACCURACY_LEVEL);
    i4q_emit_int(to, node, "activation", fusion->activation);
    i4q_emit_float(to, node, "alpha", fusion->alpha);
    i4q_emit_float(to, node, "beta", fusion->beta);
    i4q_emit_float(to, node, "input_scale", input ? input->scale : 0);
    i4q_emit_int(to, node, "input_zero_point", input ? input->zero : 0);
}

/* Depthwise nodes find a range for each channel on each run, which is worth more than one that is fixed. */
static const struct i4q_range *find_input(const struct i4q_emission *emission, const Onnx__NodeProto *conv)
{
    bool is_depthwise = emission->weight->tensor.dims[1] == 1;
    return is_depthwise || !emission->ranges ? NULL : i4q_table_get(emission->ranges, conv->input[0]);
}

/* It stands where the Conv stood and makes what the last of the nodes made. */
static bool write_reader(void *context, const struct i4q_use *use)
{
    struct writer *writer = context;
    struct i4q_emission *emission = writer->emission;
    struct reader reader;
    if (!make_reader(emission->weight, use, &reader))
        return true;
    const Onnx__NodeProto *conv = use->node->proto;
    const char *inputs[] = {conv->input[0], writer->stored.codes, writer->stored.scale, writer->stored.zero,
                            reader.bias};
    Onnx__NodeProto *made = i4q_emit_swap(emission, conv, i4q_nbits_op, inputs, 5, reader.fusion.output);
    if (made)
        made->domain = (char *)i4q_nbits_domain;
    add_attributes(emission, made, &reader.fusion, find_input(emission, conv));
    for (size_t i = 0; i < reader.fusion.n_absorbed; i++)
        i4q_emit_drop(emission, reader.fusion.absorbed[i]->proto);
    emission->features |= 1u << reader.fusion.activation;
    return !emission->failed;
}

/* Codes of any width, in bytes. */
static struct i4q_emit_integers emit_stream(struct i4q_emission *emission)
{
    const struct i4q_quantize_job *job = emission->job;
    const int64_t bytes = (int64_t)i4q_job_code_bytes(job), channels = (int64_t)job->channels;
    struct i4q_emit_integers made;
    made.codes = i4q_emit_codes(emission, "packed", job->format->type, &bytes, 1);
    made.scale = i4q_emit_scales(emission, &channels, 1);
    made.zero = i4q_emit_zero_bytes(emission, &channels, 1);
    emission->features |= I4Q_NBITS_STREAMS;
    return made;
}

static void emit(struct i4q_emission *emission)
{
    bool packed = emission->job->format->packed;
    struct writer writer = {emission, packed ? emit_stream(emission) : i4q_emit_integers(emission)};
    each_use(emission->weight->value, write_reader, &writer, 0);
}

/* ---- reading */

/* The shape that the attribute tells, where it is one. */
static bool read_shape(const Onnx__NodeProto *node, struct i4q_storage *storage)
{
    const Onnx__AttributeProto *shape = i4q_node_attribute(node, "weight_shape");
    size_t count = 1;
    if (!shape || shape->n_ints < 3)
        return false;
    for (size_t i = 0; i < shape->n_ints; i++)
        if (shape->ints[i] < 1 || !i4q_mul_size(count, (size_t)shape->ints[i], &count))
            return false;
    storage->dims = shape->ints;
    storage->rank = shape->n_ints;
    storage->count = count;
    return true;
}

static bool begins(const struct i4q_node *node)
{
    return i4q_nbits_is(node->proto);
}

static bool recognise(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage)
{
    const Onnx__NodeProto *node = conv->node->proto;
    int64_t activation = i4q_node_int(node, "activation", 0);
    bool known = read_shape(node, storage);
    storage->is_dequantize = true;
    storage->axis = i4q_node_int(node, "axis", 0);
    storage->block = i4q_node_int(node, "block_size", 0);
    storage->activation = activation > 0 && activation < I4Q_ACTIVATIONS
                              ? i4q_activation_name((enum i4q_activation)activation)
                              : NULL;
    i4q_describe_integers(storage, conv->tensor, i4q_input_tensor(conv->node, I4Q_NBITS_SCALES),
                          i4q_input_tensor(conv->node, I4Q_NBITS_ZERO_POINTS));
    const struct i4q_format *format = i4q_nbits_stream(conv->node);
    if (format) {
        storage->packed_bits = format->bits;
        storage->name = format->name;
    }
    return known;
}

/* Nodes that the model had before count too. */
static Onnx__FunctionProto *function(struct i4q_model *model, int64_t version, unsigned features)
{
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next) {
        const Onnx__AttributeProto *activation =
            i4q_nbits_is(node->proto) ? i4q_node_attribute(node->proto, "activation") : NULL;
        if (i4q_nbits_is(node->proto))
            features |= 1u << (activation ? activation->i & 7 : 0);
        if (i4q_nbits_is(node->proto) && i4q_nbits_stream(node))
            features |= I4Q_NBITS_STREAMS;
    }
    return i4q_nbits_function(model, version, features);
}

const struct i4q_form i4q_form_nbits = {
    .word = "nbits",
    .domain = i4q_nbits_domain,
    .execution = I4Q_COMPUTES,
    .has_input_ranges = true,
    .unheld =
        "weights are decoded by nodes: ConvNBits takes weights of Conv itself, of one or two dimensions, in "
        "the same graph, FLOAT rather than FLOAT16, whose padding does not depend on the input's size",
    .holds = holds,
    .bytes = bytes,
    .opset = opset,
    .ir_version = ir_version,
    .emit = emit,
    .function = function,
    .begins = begins,
    .is_operator = true,
    .recognise = recognise,
};

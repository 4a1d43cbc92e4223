// SPDX-License-Identifier: Apache-2.0
#include "onnx/fusion.h"

#include "onnx/layers.h"
#include "onnx/tensor.h"

#include <float.h>
#include <string.h>

const char *i4q_activation_name(enum i4q_activation activation)
{
    static const char *const names[] = {"none",       "silu",    "relu", "leaky-relu",
                                        "hard-swish", "sigmoid", "clip"};
    return names[activation];
}

/* ---- the window */

/* The attribute's integers, or `otherwise` for each where it is missing. */
static bool get_ints(const Onnx__NodeProto *node, const char *name, int64_t otherwise, size_t n, int64_t *out)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, name);
    if (attribute && attribute->n_ints != n)
        return false;
    for (size_t i = 0; i < n; i++)
        out[i] = attribute ? attribute->ints[i] : otherwise;
    return true;
}

static bool attribute_is(const Onnx__AttributeProto *attribute, const char *text)
{
    return attribute->s.len == strlen(text) && memcmp(attribute->s.data, text, attribute->s.len) == 0;
}

/* SAME: as much padding as the kernel reaches over, half on each side, the odd one at the end (UPPER) or at
 * the beginning (LOWER). With a stride it would depend on the size of the input. */
static bool pad_same(struct i4q_fusion *fusion, const int64_t *kernel, bool upper)
{
    for (size_t i = 0; i < fusion->dimensions; i++) {
        int64_t reach = (kernel[i] - 1) * fusion->dilations[i];
        if (fusion->strides[i] != 1)
            return false;
        fusion->pads[i] = upper ? reach / 2 : reach - reach / 2;
        fusion->pads[fusion->dimensions + i] = reach - fusion->pads[i];
    }
    return true;
}

static bool find_pads(struct i4q_fusion *fusion, const int64_t *kernel)
{
    const Onnx__NodeProto *node = fusion->conv->proto;
    const Onnx__AttributeProto *automatic = i4q_node_attribute(node, "auto_pad");
    if (!automatic || attribute_is(automatic, "NOTSET"))
        return get_ints(node, "pads", 0, 2 * fusion->dimensions, fusion->pads);
    if (attribute_is(automatic, "VALID"))
        return true;
    bool upper = attribute_is(automatic, "SAME_UPPER");
    return (upper || attribute_is(automatic, "SAME_LOWER")) && pad_same(fusion, kernel, upper);
}

static bool find_window(struct i4q_fusion *fusion, const int64_t *kernel)
{
    const Onnx__NodeProto *node = fusion->conv->proto;
    const Onnx__AttributeProto *group = i4q_node_attribute(node, "group");
    int64_t stated[2];
    fusion->group = group ? group->i : 1;
    if (!get_ints(node, "strides", 1, fusion->dimensions, fusion->strides) ||
        !get_ints(node, "dilations", 1, fusion->dimensions, fusion->dilations) ||
        !get_ints(node, "kernel_shape", 1, fusion->dimensions, stated))
        return false;
    if (i4q_node_attribute(node, "kernel_shape") &&
        memcmp(stated, kernel, fusion->dimensions * sizeof *kernel) != 0)
        return false;
    return find_pads(fusion, kernel);
}

/* ---- the activation */

/* The one node of the same graph that reads the value `times` times, where nothing else reads it and it is no
 * output; NULL. */
static const struct i4q_node *only_reader(const struct i4q_value *value, size_t times)
{
    const struct i4q_use *first = value ? value->uses : NULL;
    size_t n = 0;
    for (const struct i4q_use *use = first; use; use = use->next, n++)
        if (use->node != first->node)
            return NULL;
    return n == times && n && !value->is_output && first->node->scope == value->scope ? first->node : NULL;
}

/* The constant of this name. One that a raised opset brought is younger than the index: a Constant node of
 * the graph. */
static const Onnx__TensorProto *find_constant(const struct i4q_scope *scope, const char *name)
{
    const struct i4q_value *value = i4q_scope_resolve(scope, name);
    if (value)
        return i4q_value_tensor(value);
    for (size_t i = 0; scope->graph && i < scope->graph->n_node; i++) {
        const Onnx__NodeProto *node = scope->graph->node[i];
        if (i4q_node_is(node, "Constant") && node->n_output && strcmp(node->output[0], name) == 0)
            return node->n_attribute ? node->attribute[0]->t : NULL;
    }
    return NULL;
}

/* A number that is stored, or `otherwise` where the input is missing; false where it is computed. */
static bool get_number(const struct i4q_node *node, size_t input, float otherwise, float *number)
{
    const char *name = node->proto->n_input > input ? node->proto->input[input] : "";
    const Onnx__TensorProto *tensor = *name ? find_constant(node->scope, name) : NULL;
    *number = otherwise;
    if (!*name)
        return true;
    if (!tensor || tensor->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT || tensor->n_external_data)
        return false;
    if (tensor->n_float_data == 1)
        *number = tensor->float_data[0];
    else if (tensor->raw_data.len == sizeof *number)
        memcpy(number, tensor->raw_data.data, sizeof *number);
    else
        return false;
    return *number == *number;
}

static float get_float(const Onnx__NodeProto *node, const char *name, float otherwise)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, name);
    return attribute ? attribute->f : otherwise;
}

static void absorb(struct i4q_fusion *fusion, const struct i4q_node *node, enum i4q_activation activation)
{
    fusion->absorbed[fusion->n_absorbed++] = node;
    fusion->activation = activation;
    fusion->output = node->proto->output[0];
}

static bool is_plain(const struct i4q_node *node, struct i4q_fusion *fusion)
{
    return true;
}

static bool is_leaky_relu(const struct i4q_node *node, struct i4q_fusion *fusion)
{
    fusion->alpha = get_float(node->proto, "alpha", 0.01f);
    return fusion->alpha == fusion->alpha;
}

static bool is_swish(const struct i4q_node *node, struct i4q_fusion *fusion)
{
    return get_float(node->proto, "alpha", 1) == 1;
}

/* Bounds are attributes up to opset 6, inputs from 11 on. */
static bool is_clip(const struct i4q_node *node, struct i4q_fusion *fusion)
{
    float low = get_float(node->proto, "min", -FLT_MAX), high = get_float(node->proto, "max", FLT_MAX);
    return get_number(node, 1, low, &fusion->alpha) && get_number(node, 2, high, &fusion->beta);
}

/* Operators that are an activation by themselves. */
static const struct {
    const char *op_type;
    enum i4q_activation activation;
    bool (*fits)(const struct i4q_node *node, struct i4q_fusion *fusion);
} single[] = {
    {"Relu", I4Q_ACTIVATION_RELU, is_plain},
    {"LeakyRelu", I4Q_ACTIVATION_LEAKY_RELU, is_leaky_relu},
    {"HardSwish", I4Q_ACTIVATION_HARD_SWISH, is_plain},
    {"Sigmoid", I4Q_ACTIVATION_SIGMOID, is_plain},
    {"Swish", I4Q_ACTIVATION_SILU, is_swish},
    {"Clip", I4Q_ACTIVATION_CLIP, is_clip},
};

static void find_single(struct i4q_fusion *fusion, const struct i4q_node *node, const char *input)
{
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        if (i4q_node_is(node->proto, single[i].op_type) && strcmp(node->proto->input[0], input) == 0 &&
            single[i].fits(node, fusion)) {
            absorb(fusion, node, single[i].activation);
            return;
        }
    fusion->alpha = fusion->beta = 0;
}

/* Gates that a Mul with their own input makes an activation. */
static bool is_gate(const Onnx__NodeProto *node, enum i4q_activation *activation)
{
    bool hard = i4q_node_is(node, "HardSigmoid");
    *activation = hard ? I4Q_ACTIVATION_HARD_SWISH : I4Q_ACTIVATION_SILU;
    if (hard)
        return get_float(node, "alpha", 0.2f) == 1 / 6.0f && get_float(node, "beta", 0.5f) == 0.5f;
    return i4q_node_is(node, "Sigmoid");
}

/* The gate and the product are all that reads the value. */
static void find_gated(struct i4q_fusion *fusion, const struct i4q_value *value)
{
    const struct i4q_use *first = value->uses, *second = first->next;
    if (!second || second->next || value->is_output || first->node == second->node)
        return;
    enum i4q_activation activation;
    const struct i4q_node *gate = is_gate(first->node->proto, &activation) ? first->node : second->node;
    const struct i4q_node *product = gate == first->node ? second->node : first->node;
    if (!is_gate(gate->proto, &activation) || !i4q_node_is(product->proto, "Mul") ||
        !i4q_sole_output(product) || gate->scope != value->scope ||
        only_reader(i4q_sole_output(gate), 1) != product)
        return;
    absorb(fusion, gate, activation);
    absorb(fusion, product, activation);
}

void i4q_fusion_find_activation(struct i4q_fusion *fusion)
{
    fusion->output = fusion->conv->proto->output[0];
    const struct i4q_value *value = i4q_sole_output(fusion->conv);
    const struct i4q_node *reader = only_reader(value, 1);
    if (reader && reader->proto->n_output == 1)
        find_single(fusion, reader, value->name);
    else if (value && value->uses && !reader)
        find_gated(fusion, value);
}

bool i4q_fusion_find(const struct i4q_node *conv, const int64_t *dims, size_t rank, struct i4q_fusion *fusion)
{
    *fusion = (struct i4q_fusion){.conv = conv, .dimensions = rank - 2};
    if (rank < 3 || rank > 4 || !i4q_node_is(conv->proto, "Conv") || conv->proto->n_output != 1)
        return false;
    if (!find_window(fusion, dims + 2))
        return false;
    i4q_fusion_find_activation(fusion);
    return true;
}

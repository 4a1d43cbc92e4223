// SPDX-License-Identifier: Apache-2.0
/* The operators of ai.onnx whose meaning or form changed, from the operator changelog of the ONNX project and
 * the attributes and inputs in its schemas. Operators that only gained types, optional inputs or attributes
 * whose default keeps the old behaviour have no row.
 *
 * Operators that become several have files of their own. */
#include "onnx/opset/rules.h"

#include "onnx/opset/group_normalization.h"
#include "onnx/opset/softmax.h"
#include "onnx/tensor.h"

#include <string.h>

#define TYPE(name)           ONNX__TENSOR_PROTO__DATA_TYPE__##name
#define ATTRIBUTE_TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

/* Whether anything reads output `index`. */
static bool is_read(const struct i4q_upgrader *u, const Onnx__NodeProto *node, size_t index)
{
    const struct i4q_value *value =
        index < node->n_output ? i4q_scope_resolve(u->scope, node->output[index]) : NULL;
    return value && (value->uses || value->is_output);
}

/* ---- attributes that became inputs */

/* INTS attribute `name` becomes input `index`; without the attribute there is nothing to do. */
static bool ints_to_input(struct i4q_upgrader *u, Onnx__NodeProto *node, const char *name, size_t index)
{
    Onnx__AttributeProto *attribute;
    if (!i4q_up_find(u, node, name, ATTRIBUTE_TYPE(INTS), &attribute))
        return false;
    if (!attribute)
        return I4Q_UP_UNCHANGED;
    const char *value = i4q_up_ints(u, node, name, attribute->ints, attribute->n_ints);
    i4q_edit_remove_attribute(node, attribute);
    return value && i4q_edit_set_input(u->model, node, index, value) && i4q_up_done(u);
}

static bool axes_to_input(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return ints_to_input(u, node, "axes", 1);
}

static bool split_to_input(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return ints_to_input(u, node, "split", 1);
}

static bool slice_to_inputs(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return ints_to_input(u, node, "starts", 1) && ints_to_input(u, node, "ends", 2) &&
           ints_to_input(u, node, "axes", 3);
}

/* INT attribute `name` becomes input `index`, as a scalar or as a tensor of one element. */
static bool int_to_input(struct i4q_upgrader *u, Onnx__NodeProto *node, const char *name, size_t index,
                         size_t n_dims)
{
    static const int64_t one = 1;
    Onnx__AttributeProto *attribute;
    if (!i4q_up_find(u, node, name, ATTRIBUTE_TYPE(INT), &attribute))
        return false;
    if (!attribute)
        return I4Q_UP_UNCHANGED;
    const char *value =
        i4q_up_constant_node(u, node, name, TYPE(INT64), &one, n_dims, &attribute->i, sizeof attribute->i);
    i4q_edit_remove_attribute(node, attribute);
    return value && i4q_edit_set_input(u->model, node, index, value) && i4q_up_done(u);
}

static bool top_k(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return int_to_input(u, node, "k", 1, 1);
}

/* The default of the attribute was 1, that of the input is -2: an absent one has to be written out. */
static bool dft(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    if (!i4q_node_attribute(node, "axis") && !i4q_edit_add_int(u->model, node, "axis", 1))
        return false;
    return int_to_input(u, node, "axis", 2, 0);
}

/* FLOAT attribute `name` becomes input `index` with the element type of input 0. */
static bool float_to_input(struct i4q_upgrader *u, Onnx__NodeProto *node, const char *name, size_t index)
{
    Onnx__AttributeProto *attribute;
    if (!i4q_up_find(u, node, name, ATTRIBUTE_TYPE(FLOAT), &attribute))
        return false;
    if (!attribute)
        return I4Q_UP_UNCHANGED;
    int32_t type = i4q_up_type(u, node, 0);
    if (type != TYPE(FLOAT) && type != TYPE(FLOAT16) && type != TYPE(DOUBLE))
        return i4q_opset_refuse(u, node, "the element type of its input is not known, which %s needs now",
                                name);
    const char *value = i4q_up_scalar(u, node, name, type, attribute->f);
    i4q_edit_remove_attribute(node, attribute);
    return value && i4q_edit_set_input(u->model, node, index, value) && i4q_up_done(u);
}

/* The defaults, the largest finite numbers, are those of absent inputs. */
static bool clip(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return float_to_input(u, node, "min", 1) && float_to_input(u, node, "max", 2);
}

static bool pad(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *value;
    if (!i4q_up_find(u, node, "value", ATTRIBUTE_TYPE(FLOAT), &value))
        return false;
    if (value && value->f == 0) /* also the default of the input, whose type need not be known then */
        i4q_edit_remove_attribute(node, value);
    return ints_to_input(u, node, "pads", 1) && float_to_input(u, node, "value", 2);
}

/* The ratio has a type of its own, so FLOAT always serves. Outside training the mask is all ones since then;
 * before, nothing said what it is, and ONNX Runtime gives zeros. */
static bool dropout(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *ratio;
    if (!i4q_up_find(u, node, "ratio", ATTRIBUTE_TYPE(FLOAT), &ratio))
        return false;
    if (is_read(u, node, 1))
        return i4q_opset_refuse(u, node, "its output '%s' would become all ones", node->output[1]);
    if (!ratio)
        return I4Q_UP_UNCHANGED;
    const char *value = i4q_up_scalar(u, node, "ratio", TYPE(FLOAT), ratio->f);
    i4q_edit_remove_attribute(node, ratio);
    return value && i4q_edit_set_input(u->model, node, 1, value) && i4q_up_done(u);
}

/* ---- operators that changed in place */

/* The mask had the type of the data and is BOOL since. Old exporters name it also where nothing reads it; it
 * goes then, because a value_info of the old type would contradict it. */
static bool dropout_mask(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    if (node->n_output < 2)
        return I4Q_UP_UNCHANGED;
    if (is_read(u, node, 1))
        return i4q_opset_refuse(u, node, "its output '%s' would become BOOL", node->output[1]);
    node->n_output = 1;
    return i4q_up_done(u);
}

static bool split_outputs(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    if (i4q_up_has_input(node, 1))
        return I4Q_UP_UNCHANGED;
    return i4q_edit_add_int(u->model, node, "num_outputs", (int64_t)node->n_output) && i4q_up_done(u);
}

static bool batch_normalization_spatial(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *spatial;
    if (!i4q_up_find(u, node, "spatial", ATTRIBUTE_TYPE(INT), &spatial))
        return false;
    if (!spatial)
        return I4Q_UP_UNCHANGED;
    if (spatial->i != 1)
        return i4q_opset_refuse(u, node, "its attribute spatial is %lld, later versions know 1 only",
                                (long long)spatial->i);
    i4q_edit_remove_attribute(node, spatial);
    return i4q_up_done(u);
}

/* More than one output meant training; the statistics that came out are other ones since. */
static bool batch_normalization(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    for (size_t i = 1; i < node->n_output; i++)
        if (*node->output[i])
            return i4q_opset_refuse(u, node, "its output '%s' is one of training mode", node->output[i]);
    if (node->n_output <= 1)
        return I4Q_UP_UNCHANGED;
    node->n_output = 1; /* names left empty: the later form has no place for so many */
    return i4q_up_done(u);
}

static bool roi_align(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    static const char name[] = "coordinate_transformation_mode";
    if (i4q_node_attribute(node, name))
        return I4Q_UP_UNCHANGED;
    return i4q_edit_add_string(u->model, node, name, "output_half_pixel") && i4q_up_done(u);
}

static bool attribute_is(const Onnx__AttributeProto *attribute, const char *text)
{
    return attribute && attribute->s.len == strlen(text) &&
           memcmp(attribute->s.data, text, attribute->s.len) == 0;
}

static bool grid_sample(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    static const char *const renamed[][2] = {{"bilinear", "linear"}, {"bicubic", "cubic"}};
    Onnx__AttributeProto *mode;
    if (!i4q_up_find(u, node, "mode", ATTRIBUTE_TYPE(STRING), &mode))
        return false;
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        if (!attribute_is(mode, renamed[i][0]))
            continue;
        mode->s = (ProtobufCBinaryData){strlen(renamed[i][1]), (uint8_t *)renamed[i][1]};
        return i4q_up_done(u);
    }
    return I4Q_UP_UNCHANGED;
}

static bool scatter(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    node->op_type = (char *)"ScatterElements";
    return i4q_up_done(u);
}

/* Scan worked on batches; MeanVarianceNormalization was experimental, with other attributes and axes. */
static bool another_before_9(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return i4q_opset_refuse(u, node, "before opset 9 this name stood for another operator");
}

/* ---- Upsample and Resize */

/* An empty `scales` beside `sizes` was how one was left out; now its name is empty, and some readers take the
 * empty tensor for a second instruction. */
static bool resize(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *mode;
    if (!i4q_up_find(u, node, "coordinate_transformation_mode", ATTRIBUTE_TYPE(STRING), &mode))
        return false;
    if (attribute_is(mode, "tf_half_pixel_for_nn"))
        return i4q_opset_refuse(u, node, "coordinate_transformation_mode tf_half_pixel_for_nn is gone");
    const Onnx__TensorProto *scales = i4q_up_constant(u, node, 2);
    bool is_empty = scales && scales->n_dims == 1 && scales->dims[0] == 0;
    if (!is_empty || !i4q_up_has_input(node, 3))
        return I4Q_UP_UNCHANGED;
    return i4q_edit_set_input(u->model, node, 2, "") && i4q_up_done(u);
}

/* FLOATS attribute `scales` becomes input 1. */
static bool upsample_scales(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *scales;
    if (!i4q_up_find(u, node, "scales", ATTRIBUTE_TYPE(FLOATS), &scales))
        return false;
    if (!scales)
        return I4Q_UP_UNCHANGED;
    int64_t n = (int64_t)scales->n_floats;
    const char *value = i4q_up_constant_node(u, node, "scales", TYPE(FLOAT), &n, 1, scales->floats,
                                             scales->n_floats * sizeof *scales->floats);
    i4q_edit_remove_attribute(node, scales);
    return value && i4q_edit_set_input(u->model, node, 1, value) && i4q_up_done(u);
}

static bool upsample(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    node->op_type = (char *)"Resize";
    return i4q_up_done(u);
}

/* The constant that input 1 is: one of the model, or what upsample_scales has just put in front. Only the
 * latter shares its name with the input, so the address tells. */
static const Onnx__TensorProto *scales_tensor(const struct i4q_upgrader *u, const Onnx__NodeProto *node)
{
    const Onnx__NodeProto *last = u->nodes.count ? u->nodes.items[u->nodes.count - 1] : NULL;
    bool is_new = last && last->n_output && i4q_up_has_input(node, 1) && last->output[0] == node->input[1];
    const Onnx__AttributeProto *value = is_new ? i4q_node_attribute(last, "value") : NULL;
    return value ? value->t : i4q_up_constant(u, node, 1);
}

/* Upsample, and Resize up to opset 10, took source pixels at x / scale: asymmetric. In ONNX Runtime, their
 * mode nearest rounds down when it enlarges and up when it shrinks. NULL: it does both, or the scales are not
 * known. */
static const char *nearest_mode(struct i4q_upgrader *u, const Onnx__NodeProto *node)
{
    struct i4q_view scales;
    struct i4q_error ignored = {0};
    bool shrinks = false, grows = false;
    const Onnx__TensorProto *tensor = scales_tensor(u, node);
    if (!tensor || tensor->data_type != TYPE(FLOAT) ||
        !i4q_tensor_payload(&u->model->arena, tensor, &scales, &ignored))
        return NULL;
    for (size_t i = 0; i + sizeof(float) <= scales.size; i += sizeof(float)) {
        float scale;
        memcpy(&scale, scales.data + i, sizeof scale);
        shrinks |= scale < 1;
        grows |= scale > 1;
    }
    return shrinks && grows ? NULL : shrinks ? "ceil" : "floor";
}

/* The region of interest stands before the scales; it may be left out since opset 13. */
static const char *no_roi(struct i4q_upgrader *u, const Onnx__NodeProto *node)
{
    static const int64_t none = 0;
    return u->version >= 13 ? "" : i4q_up_constant_node(u, node, "roi", TYPE(FLOAT), &none, 1, NULL, 0);
}

static bool resize_asymmetric(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    bool linear = attribute_is(i4q_node_attribute(node, "mode"), "linear");
    const char *nearest = linear ? NULL : nearest_mode(u, node);
    if (!linear && !nearest)
        return i4q_opset_refuse(u, node, "its rounding needs constant scales, all >= 1 or all <= 1");
    const char *scales = i4q_up_has_input(node, 1) ? node->input[1] : "", *roi = no_roi(u, node);
    return roi && i4q_edit_set_input(u->model, node, 1, roi) &&
           i4q_edit_set_input(u->model, node, 2, scales) &&
           i4q_edit_add_string(u->model, node, "coordinate_transformation_mode", "asymmetric") &&
           (linear || i4q_edit_add_string(u->model, node, "nearest_mode", nearest)) && i4q_up_done(u);
}

/* ---- the table */

const struct i4q_opset_rule i4q_opset_rules[] = {
    {"BatchNormalization", 9, {7}, batch_normalization_spatial},
    {"MeanVarianceNormalization", 9, {1}, another_before_9},
    {"Scan", 9, {8}, another_before_9},
    {"Upsample", 9, {7}, upsample_scales},
    {"Dropout", 10, {7}, dropout_mask},
    {"Slice", 10, {1}, slice_to_inputs},
    {"TopK", 10, {1}, top_k},
    {"Upsample", 10, {7, 9}, upsample},
    {"Clip", 11, {6}, clip},
    {"Pad", 11, {2}, pad},
    {"Resize", 11, {10}, resize_asymmetric},
    {"Scatter", 11, {9}, scatter},
    {"Dropout", 12, {7, 10}, dropout},
    {"Hardmax", 13, {1, 11}, i4q_opset_softmax},
    {"LogSoftmax", 13, {1, 11}, i4q_opset_softmax},
    {"ReduceSum", 13, {1, 11}, axes_to_input},
    {"Resize", 13, {10, 11}, resize},
    {"Softmax", 13, {1, 11}, i4q_opset_softmax},
    {"Split", 13, {2, 11}, split_to_input},
    {"Squeeze", 13, {1, 11}, axes_to_input},
    {"Unsqueeze", 13, {1, 11}, axes_to_input},
    {"BatchNormalization", 14, {7, 9}, batch_normalization},
    {"RoiAlign", 16, {10}, roi_align},
    {"ReduceL1", 18, {1, 11, 13}, axes_to_input},
    {"ReduceL2", 18, {1, 11, 13}, axes_to_input},
    {"ReduceLogSum", 18, {1, 11, 13}, axes_to_input},
    {"ReduceLogSumExp", 18, {1, 11, 13}, axes_to_input},
    {"ReduceMax", 18, {1, 11, 12, 13}, axes_to_input},
    {"ReduceMean", 18, {1, 11, 13}, axes_to_input},
    {"ReduceMin", 18, {1, 11, 12, 13}, axes_to_input},
    {"ReduceProd", 18, {1, 11, 13}, axes_to_input},
    {"ReduceSumSquare", 18, {1, 11, 13}, axes_to_input},
    {"Split", 18, {2, 11, 13}, split_outputs},
    {"DFT", 20, {17}, dft},
    {"GridSample", 20, {16}, grid_sample},
    {"GroupNormalization", 21, {18}, i4q_opset_group_normalization},
};

const size_t i4q_opset_n_rules = sizeof i4q_opset_rules / sizeof *i4q_opset_rules;

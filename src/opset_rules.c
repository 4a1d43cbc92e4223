// SPDX-License-Identifier: Apache-2.0
/* The operators of ai.onnx whose meaning or form changed, from the operator changelog of the ONNX project and
 * the attributes and inputs in its schemas. Operators that only gained types, optional inputs or attributes
 * whose default keeps the old behaviour have no row.
 *
 * A rule returns false when memory runs out or after i4q_opset_refuse. */
#include "opset_rules.h"

#include "int4q/tensor.h"

#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

/* Results of rules read as sentences: return done(u) after a change, UNCHANGED without one. */
enum { UNCHANGED = true };

static bool done(struct i4q_upgrader *u)
{
    u->changed = true;
    return true;
}

/* ---- attributes that became inputs */

/* INTS attribute `name` becomes input `index`; without the attribute there is nothing to do. */
static bool ints_to_input(struct i4q_upgrader *u, Onnx__NodeProto *node, const char *name, size_t index)
{
    Onnx__AttributeProto *attribute;
    if (!i4q_up_attribute(u, node, name, &attribute))
        return false;
    if (!attribute)
        return UNCHANGED;
    const char *value = i4q_up_ints(u, node, name, attribute->ints, attribute->n_ints);
    i4q_edit_remove_attribute(node, attribute);
    return value && i4q_edit_set_input(u->model, node, index, value) && done(u);
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
    if (!i4q_up_attribute(u, node, name, &attribute))
        return false;
    if (!attribute)
        return UNCHANGED;
    const char *value =
        i4q_up_constant_node(u, node, name, TYPE(INT64), &one, n_dims, &attribute->i, sizeof attribute->i);
    i4q_edit_remove_attribute(node, attribute);
    return value && i4q_edit_set_input(u->model, node, index, value) && done(u);
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
    if (!i4q_up_attribute(u, node, name, &attribute))
        return false;
    if (!attribute)
        return UNCHANGED;
    int32_t type = i4q_up_type(u, node, 0);
    if (type != TYPE(FLOAT) && type != TYPE(FLOAT16) && type != TYPE(DOUBLE))
        return i4q_opset_refuse(u, node, "the element type of its input is not known, which %s needs now",
                                name);
    const char *value = i4q_up_scalar(u, node, name, type, attribute->f);
    i4q_edit_remove_attribute(node, attribute);
    return value && i4q_edit_set_input(u->model, node, index, value) && done(u);
}

/* The defaults, the largest finite numbers, are those of absent inputs. */
static bool clip(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return float_to_input(u, node, "min", 1) && float_to_input(u, node, "max", 2);
}

static bool pad(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *value;
    if (!i4q_up_attribute(u, node, "value", &value))
        return false;
    if (value && value->f == 0) /* also the default of the input, whose type need not be known then */
        i4q_edit_remove_attribute(node, value);
    return ints_to_input(u, node, "pads", 1) && float_to_input(u, node, "value", 2);
}

/* The ratio has a type of its own, so FLOAT always serves. */
static bool dropout(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *ratio;
    if (!i4q_up_attribute(u, node, "ratio", &ratio))
        return false;
    if (!ratio)
        return UNCHANGED;
    const char *value = i4q_up_scalar(u, node, "ratio", TYPE(FLOAT), ratio->f);
    i4q_edit_remove_attribute(node, ratio);
    return value && i4q_edit_set_input(u->model, node, 1, value) && done(u);
}

/* ---- operators that changed in place */

static bool dropout_mask(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    if (node->n_output > 1 && *node->output[1])
        return i4q_opset_refuse(u, node,
                                "its output mask, of the type of the data so far, would become BOOL");
    return UNCHANGED;
}

static bool split_outputs(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    if (i4q_up_has_input(node, 1))
        return UNCHANGED;
    return i4q_edit_add_int(u->model, node, "num_outputs", (int64_t)node->n_output) && done(u);
}

static bool batch_normalization_spatial(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *spatial;
    if (!i4q_up_attribute(u, node, "spatial", &spatial))
        return false;
    if (!spatial)
        return UNCHANGED;
    if (spatial->i != 1)
        return i4q_opset_refuse(u, node, "its attribute spatial is %lld, later versions know 1 only",
                                (long long)spatial->i);
    i4q_edit_remove_attribute(node, spatial);
    return done(u);
}

/* More than one output meant training; the statistics that came out are other ones since. */
static bool batch_normalization(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    for (size_t i = 1; i < node->n_output; i++)
        if (*node->output[i])
            return i4q_opset_refuse(u, node, "its output '%s' is one of training mode", node->output[i]);
    if (node->n_output <= 1)
        return UNCHANGED;
    node->n_output = 1; /* names left empty: the later form has no place for so many */
    return done(u);
}

static bool roi_align(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    static const char name[] = "coordinate_transformation_mode";
    if (i4q_node_attribute(node, name))
        return UNCHANGED;
    return i4q_edit_add_string(u->model, node, name, "output_half_pixel") && done(u);
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
    if (!i4q_up_attribute(u, node, "mode", &mode))
        return false;
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        if (!attribute_is(mode, renamed[i][0]))
            continue;
        mode->s = (ProtobufCBinaryData){strlen(renamed[i][1]), (uint8_t *)renamed[i][1]};
        return done(u);
    }
    return UNCHANGED;
}

static bool scatter(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    node->op_type = (char *)"ScatterElements";
    return done(u);
}

static bool scan(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    return i4q_opset_refuse(u, node, "Scan of opset 8 works on batches, later versions do not");
}

/* ---- Upsample and Resize */

/* An empty `scales` beside `sizes` was how one was left out; now its name is empty, and some readers take the
 * empty tensor for a second instruction. */
static bool resize(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    if (attribute_is(i4q_node_attribute(node, "coordinate_transformation_mode"), "tf_half_pixel_for_nn"))
        return i4q_opset_refuse(u, node, "coordinate_transformation_mode tf_half_pixel_for_nn is gone");
    const Onnx__TensorProto *scales = i4q_up_constant(u, node, 2);
    bool is_empty = scales && scales->n_dims == 1 && scales->dims[0] == 0;
    if (!is_empty || !i4q_up_has_input(node, 3))
        return UNCHANGED;
    return i4q_edit_set_input(u->model, node, 2, "") && done(u);
}

/* The scales of Upsample or of a Resize up to opset 10: an attribute, or a constant input 1. False: neither.
 */
static bool find_scales(struct i4q_upgrader *u, const Onnx__NodeProto *node, struct i4q_view *scales)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, "scales");
    const Onnx__TensorProto *tensor = i4q_up_constant(u, node, 1);
    struct i4q_error ignored = {0};
    if (attribute) {
        *scales = (struct i4q_view){(const uint8_t *)attribute->floats, attribute->n_floats * sizeof(float)};
        return true;
    }
    return tensor && tensor->data_type == TYPE(FLOAT) &&
           i4q_tensor_payload(&u->model->arena, tensor, scales, &ignored);
}

/* Upsample, and Resize up to opset 10, took source pixels at x / scale: asymmetric. In ONNX Runtime, their
 * mode nearest rounds down when it enlarges and up when it shrinks. NULL: it does both, or the scales are not
 * known. */
static const char *nearest_mode(struct i4q_upgrader *u, const Onnx__NodeProto *node)
{
    struct i4q_view scales;
    bool shrinks = false, grows = false;
    if (!find_scales(u, node, &scales))
        return NULL;
    for (size_t i = 0; i + sizeof(float) <= scales.size; i += sizeof(float)) {
        float scale;
        memcpy(&scale, scales.data + i, sizeof scale);
        shrinks |= scale < 1;
        grows |= scale > 1;
    }
    return shrinks && grows ? NULL : shrinks ? "ceil" : "floor";
}

/* The name of the scales as an input, made from the attribute of opset 7 and 8 where they are one. */
static const char *scales_input(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, "scales");
    if (!attribute)
        return i4q_up_has_input(node, 1) ? node->input[1] : "";
    int64_t n = (int64_t)attribute->n_floats;
    const char *value = i4q_up_constant_node(u, node, "scales", TYPE(FLOAT), &n, 1, attribute->floats,
                                             attribute->n_floats * sizeof(float));
    i4q_edit_remove_attribute(node, attribute);
    return value;
}

static bool to_resize(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    if (i4q_node_attribute(node, "coordinate_transformation_mode"))
        return UNCHANGED; /* was an Upsample: the step to opset 10 did it all */
    bool linear = attribute_is(i4q_node_attribute(node, "mode"), "linear");
    const char *nearest = linear ? NULL : nearest_mode(u, node);
    if (!linear && !nearest)
        return i4q_opset_refuse(u, node,
                                "its rounding follows from scales that are not constant or of both kinds");
    const char *scales = scales_input(u, node);
    node->op_type = (char *)"Resize";
    return scales && i4q_edit_set_input(u->model, node, 1, "") &&
           i4q_edit_set_input(u->model, node, 2, scales) &&
           i4q_edit_add_string(u->model, node, "coordinate_transformation_mode", "asymmetric") &&
           (linear || i4q_edit_add_string(u->model, node, "nearest_mode", nearest)) && done(u);
}

/* ---- Softmax, LogSoftmax, Hardmax: from all trailing dimensions at once to one axis */

/* Whether all dimensions of input 0 behind `axis` are known to be 1. */
static bool is_last_but_ones(const struct i4q_upgrader *u, const Onnx__NodeProto *node, int64_t axis)
{
    const Onnx__TypeProto__Tensor *type = i4q_up_tensor_type(i4q_up_value(u, node, 0));
    if (!type || !type->shape || axis < 0)
        return false;
    for (size_t i = (size_t)axis + 1; i < type->shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = type->shape->dim[i];
        if (dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE || dim->dim_value != 1)
            return false;
    }
    return true;
}

static bool set_axis(struct i4q_upgrader *u, Onnx__NodeProto *node, Onnx__AttributeProto *attribute,
                     int64_t axis)
{
    if (!attribute)
        return i4q_edit_add_int(u->model, node, "axis", axis) && done(u);
    if (attribute->i == axis)
        return UNCHANGED;
    attribute->has_i = true;
    attribute->i = axis;
    return done(u);
}

/* Flatten to the matrix that the old form worked on, and back. Flatten counts axes as the old form did, so
 * the rank need not be known. */
static bool wrap_in_flatten(struct i4q_upgrader *u, Onnx__NodeProto *node, int64_t axis)
{
    Onnx__NodeProto *flatten, *shape, *reshape;
    const char *input = node->input[0], *inner = i4q_up_new_name(u, node, "flat");
    const char *matrix = i4q_up_emit(u, &u->nodes, node, "Flatten", "matrix", &input, 1, &flatten);
    const char *dims = i4q_up_emit(u, &u->nodes, node, "Shape", "shape", &input, 1, &shape);
    if (!inner || !matrix || !dims || !i4q_edit_add_int(u->model, flatten, "axis", axis))
        return false;
    const char *back[] = {inner, dims};
    if (!i4q_up_emit(u, &u->after, node, "Reshape", "reshaped", back, 2, &reshape))
        return false;
    reshape->output[0] = node->output[0];
    node->output[0] = (char *)inner;
    return i4q_edit_set_input(u->model, node, 0, matrix);
}

static bool softmax(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *attribute;
    if (!i4q_up_attribute(u, node, "axis", &attribute))
        return false;
    int64_t axis = attribute ? attribute->i : 1, rank = i4q_up_rank(u, node, 0);
    int64_t counted = axis < 0 && rank >= 0 ? axis + rank : axis;
    if (axis == -1 || (rank > 0 && counted == rank - 1))
        return set_axis(u, node, attribute, -1);
    if (is_last_but_ones(u, node, counted))
        return set_axis(u, node, attribute, counted);
    return node->n_input && node->n_output && wrap_in_flatten(u, node, axis) &&
           set_axis(u, node, attribute, -1) && done(u);
}

/* ---- GroupNormalization: scale and bias for each channel instead of each group */

/* [groups] → [channels], each element channels / groups times. `shape` is [groups, channels / groups]. */
static const char *repeat(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *what,
                          const char *value, const char *shape)
{
    static const int64_t column[] = {-1, 1}, row[] = {-1};
    Onnx__NodeProto *made;
    const char *column_shape = i4q_up_ints(u, node, "column", column, 2),
               *row_shape = i4q_up_ints(u, node, "row", row, 1);
    const char *reshape[] = {value, column_shape};
    const char *tall =
        column_shape ? i4q_up_emit(u, &u->nodes, node, "Reshape", what, reshape, 2, &made) : NULL;
    const char *expand[] = {tall, shape};
    const char *wide = tall ? i4q_up_emit(u, &u->nodes, node, "Expand", what, expand, 2, &made) : NULL;
    const char *flatten[] = {wide, row_shape};
    return wide && row_shape ? i4q_up_emit(u, &u->nodes, node, "Reshape", what, flatten, 2, &made) : NULL;
}

/* The channels are dimension 1 of the data, whatever its rank, and need not be known. */
static const char *group_shape(struct i4q_upgrader *u, const Onnx__NodeProto *node, int64_t groups)
{
    Onnx__NodeProto *shape, *made;
    const char *count = i4q_up_ints(u, node, "groups", &groups, 1);
    const char *channels =
        i4q_up_emit(u, &u->nodes, node, "Shape", "channels", (const char **)&node->input[0], 1, &shape);
    if (!count || !channels || !i4q_edit_add_int(u->model, shape, "start", 1) ||
        !i4q_edit_add_int(u->model, shape, "end", 2))
        return NULL;
    const char *divide[] = {channels, count};
    const char *each = i4q_up_emit(u, &u->nodes, node, "Div", "channels_per_group", divide, 2, &made);
    const char *both[] = {count, each};
    const char *pair = each ? i4q_up_emit(u, &u->nodes, node, "Concat", "group_shape", both, 2, &made) : NULL;
    return pair && i4q_edit_add_int(u->model, made, "axis", 0) ? pair : NULL;
}

static bool group_normalization(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *groups;
    if (!i4q_up_attribute(u, node, "num_groups", &groups))
        return false;
    if (!groups || groups->i <= 0 || !i4q_up_has_input(node, 2))
        return i4q_opset_refuse(u, node, "num_groups, scale or bias is missing");
    const char *shape = group_shape(u, node, groups->i);
    const char *scale = shape ? repeat(u, node, "scale", node->input[1], shape) : NULL;
    const char *bias = scale ? repeat(u, node, "bias", node->input[2], shape) : NULL;
    return bias && i4q_edit_set_input(u->model, node, 1, scale) &&
           i4q_edit_set_input(u->model, node, 2, bias) && done(u);
}

/* ---- the table */

const struct i4q_opset_rule i4q_opset_rules[] = {
    {"BatchNormalization", 9, {7}, batch_normalization_spatial},
    {"Scan", 9, {8}, scan},
    {"Dropout", 10, {7}, dropout_mask},
    {"Slice", 10, {1}, slice_to_inputs},
    {"TopK", 10, {1}, top_k},
    {"Upsample", 10, {7, 9}, to_resize},
    {"Clip", 11, {6}, clip},
    {"Pad", 11, {2}, pad},
    {"Resize", 11, {10}, to_resize},
    {"Scatter", 11, {9}, scatter},
    {"Dropout", 12, {7, 10}, dropout},
    {"Hardmax", 13, {1, 11}, softmax},
    {"LogSoftmax", 13, {1, 11}, softmax},
    {"ReduceSum", 13, {1, 11}, axes_to_input},
    {"Resize", 13, {10, 11}, resize},
    {"Softmax", 13, {1, 11}, softmax},
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
    {"GroupNormalization", 21, {18}, group_normalization},
};

const size_t i4q_opset_n_rules = sizeof i4q_opset_rules / sizeof *i4q_opset_rules;

// SPDX-License-Identifier: Apache-2.0
#include "onnx/opset/softmax.h"

#define ATTRIBUTE_TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

/* Whether all dimensions of input 0 behind `axis` are known to be 1. */
static bool is_last_but_ones(const struct i4q_upgrader *u, const Onnx__NodeProto *node, int64_t axis)
{
    const struct i4q_value *value = i4q_up_value(u, node, 0);
    const Onnx__TypeProto__Tensor *type = value ? i4q_tensor_type(value->type) : NULL;
    if (!type || !type->shape || axis < 0 || axis >= (int64_t)type->shape->n_dim)
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
        return i4q_edit_add_int(u->model, node, "axis", axis) && i4q_up_done(u);
    if (attribute->i == axis)
        return I4Q_UP_UNCHANGED;
    attribute->has_i = true;
    attribute->i = axis;
    return i4q_up_done(u);
}

/* Flatten to the matrix that the old form worked on, and back. Flatten counts axes as the old form did, so
 * the rank need not be known. allowzero, there since opset 14, lets empty tensors come back too. */
static bool wrap_in_flatten(struct i4q_upgrader *u, Onnx__NodeProto *node, int64_t axis)
{
    Onnx__NodeProto *flatten, *shape, *reshape;
    const char *input = node->input[0], *inner = i4q_up_new_name(u, node, "flat");
    const char *matrix = i4q_up_emit(u, &u->nodes, node, "Flatten", "matrix", &input, 1, &flatten);
    const char *dims = i4q_up_emit(u, &u->nodes, node, "Shape", "shape", &input, 1, &shape);
    if (!inner || !matrix || !dims || !i4q_edit_add_int(u->model, flatten, "axis", axis))
        return false;
    const char *back[] = {inner, dims};
    if (!i4q_up_emit(u, &u->after, node, "Reshape", "reshaped", back, 2, &reshape) ||
        (u->version >= 14 && !i4q_edit_add_int(u->model, reshape, "allowzero", 1)))
        return false;
    reshape->output[0] = node->output[0];
    node->output[0] = (char *)inner;
    return i4q_edit_set_input(u->model, node, 0, matrix);
}

bool i4q_opset_softmax(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *attribute;
    if (!i4q_up_find(u, node, "axis", ATTRIBUTE_TYPE(INT), &attribute))
        return false;
    int64_t axis = attribute ? attribute->i : 1, rank = i4q_up_rank(u, node, 0);
    int64_t counted = axis < 0 && rank >= 0 ? axis + rank : axis;
    if (axis == -1 || (rank > 0 && counted == rank - 1))
        return set_axis(u, node, attribute, -1);
    if (is_last_but_ones(u, node, counted))
        return set_axis(u, node, attribute, counted);
    if (!node->n_input || !node->n_output)
        return i4q_opset_refuse(u, node, "it has no input or no output");
    return wrap_in_flatten(u, node, axis) && set_axis(u, node, attribute, -1) && i4q_up_done(u);
}

// SPDX-License-Identifier: Apache-2.0
#include "onnx/opset/group_normalization.h"

#define TYPE(name)           ONNX__TENSOR_PROTO__DATA_TYPE__##name
#define ATTRIBUTE_TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

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

/* The old form normalized in the type of the data, which all inputs have; the new one does so in the type
 * that stash_type names, FLOAT when it is absent. */
static bool set_stash_type(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    int32_t type = 0;
    for (size_t i = 0; i < node->n_input && !type; i++)
        type = i4q_up_type(u, node, i);
    if (!type)
        return i4q_opset_refuse(u, node, "stash_type follows from the element type, which is not known");
    return type == TYPE(FLOAT) || i4q_edit_add_int(u->model, node, "stash_type", type);
}

bool i4q_opset_group_normalization(struct i4q_upgrader *u, Onnx__NodeProto *node)
{
    Onnx__AttributeProto *groups;
    if (!i4q_up_find(u, node, "num_groups", ATTRIBUTE_TYPE(INT), &groups))
        return false;
    if (!groups || groups->i <= 0 || !i4q_up_has_input(node, 2))
        return i4q_opset_refuse(u, node, "num_groups, scale or bias is missing");
    if (!set_stash_type(u, node))
        return false;
    const char *shape = group_shape(u, node, groups->i);
    const char *scale = shape ? repeat(u, node, "scale", node->input[1], shape) : NULL;
    const char *bias = scale ? repeat(u, node, "bias", node->input[2], shape) : NULL;
    return bias && i4q_edit_set_input(u->model, node, 1, scale) &&
           i4q_edit_set_input(u->model, node, 2, bias) && i4q_up_done(u);
}

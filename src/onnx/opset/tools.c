// SPDX-License-Identifier: Apache-2.0
#include "onnx/opset/tools.h"

#include "base/half.h"
#include "onnx/opset/names.h"
#include "onnx/opset/types.h"

#include <stdio.h>
#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

bool i4q_opset_refuse(struct i4q_upgrader *upgrader, const Onnx__NodeProto *node, const char *format, ...)
{
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return i4q_fail(upgrader->error, I4Q_MODEL, "node '%s' (%s): cannot be upgraded exactly: %s",
                    i4q_node_label(node), upgrader->op_type, reason);
}

bool i4q_up_done(struct i4q_upgrader *u)
{
    u->changed = true;
    return true;
}

/* ---- what a node says */

bool i4q_up_find(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *name,
                 Onnx__AttributeProto__AttributeType type, Onnx__AttributeProto **attribute)
{
    *attribute = i4q_node_attribute(node, name);
    if (*attribute && *i4q_text((*attribute)->ref_attr_name))
        return i4q_opset_refuse(u, node, "its attribute %s refers to an attribute of the function", name);
    if (*attribute && (*attribute)->type != type)
        return i4q_opset_refuse(u, node, "its attribute %s has type %d, expected %d", name,
                                (int)(*attribute)->type, (int)type);
    return true;
}

bool i4q_up_has_input(const Onnx__NodeProto *node, size_t index)
{
    return index < node->n_input && *node->input[index];
}

const struct i4q_value *i4q_up_value(const struct i4q_upgrader *u, const Onnx__NodeProto *node, size_t index)
{
    return i4q_up_has_input(node, index) ? i4q_scope_resolve(u->scope, node->input[index]) : NULL;
}

/* The rank of an input, or -1. */
int64_t i4q_up_rank(const struct i4q_upgrader *u, const Onnx__NodeProto *node, size_t index)
{
    const struct i4q_value *value = i4q_up_value(u, node, index);
    const Onnx__TypeProto__Tensor *type = value ? i4q_tensor_type(value->type) : NULL;
    if (type && type->shape)
        return (int64_t)type->shape->n_dim;
    return value && value->initializer ? (int64_t)value->initializer->n_dims : -1;
}

/* The constant tensor that an input is, or NULL. */
const Onnx__TensorProto *i4q_up_constant(const struct i4q_upgrader *u, const Onnx__NodeProto *node,
                                         size_t index)
{
    const struct i4q_value *value = i4q_up_value(u, node, index);
    return value ? i4q_value_tensor(value) : NULL;
}

int32_t i4q_up_type(const struct i4q_upgrader *u, const Onnx__NodeProto *node, size_t index)
{
    const struct i4q_value *value = i4q_up_value(u, node, index);
    int32_t type = value ? i4q_opset_type(value) : 0;
    if (type || !node->n_output || !i4q_opset_has_type(i4q_opset_find(node->op_type), index))
        return type;
    value = i4q_scope_resolve(u->scope, node->output[0]); /* models rather declare what comes out of them */
    return value ? i4q_opset_type(value) : 0;
}

/* ---- new nodes */

char *i4q_up_new_name(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix)
{
    char *base = i4q_arena_format(&u->model->arena, "%s_%s", i4q_node_label(node), suffix);
    return base ? i4q_graph_new_name(&u->model->graph, base) : NULL;
}

/* A node with one output, put into `list`; its output is the result. */
const char *i4q_up_emit(struct i4q_upgrader *u, struct i4q_list *list, const Onnx__NodeProto *node,
                        const char *op_type, const char *suffix, const char *const *inputs, size_t n_inputs,
                        Onnx__NodeProto **made)
{
    const char *output = i4q_up_new_name(u, node, suffix),
               *name = output ? i4q_up_new_name(u, node, op_type) : NULL;
    *made = name ? i4q_edit_node(u->model, op_type, name, inputs, n_inputs, &output, 1) : NULL;
    return *made && i4q_list_add(&u->model->arena, list, *made) ? output : NULL;
}

/* The value of a Constant node in front of `node`. Constants rather than initializers, because functions have
 * no initializers and bodies seldom do: one form serves all three. */
const char *i4q_up_constant_node(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix,
                                 int32_t type, const int64_t *dims, size_t n_dims, const void *data,
                                 size_t size)
{
    Onnx__NodeProto *constant;
    const char *output = i4q_up_emit(u, &u->nodes, node, "Constant", suffix, NULL, 0, &constant);
    Onnx__TensorProto *tensor =
        output ? i4q_edit_blank_tensor(u->model, output, type, dims, n_dims, size) : NULL;
    if (!tensor || !i4q_edit_add_tensor(u->model, constant, "value", tensor))
        return NULL;
    if (size)
        memcpy(tensor->raw_data.data, data, size);
    return output;
}

const char *i4q_up_ints(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix,
                        const int64_t *values, size_t n)
{
    int64_t count = (int64_t)n;
    return i4q_up_constant_node(u, node, suffix, TYPE(INT64), &count, 1, values, n * sizeof *values);
}

/* A scalar of one of the float types that an attribute's value becomes. */
const char *i4q_up_scalar(struct i4q_upgrader *u, const Onnx__NodeProto *node, const char *suffix,
                          int32_t type, float value)
{
    double wide = value;
    uint16_t half = i4q_half_from_float(value);
    const void *data = type == TYPE(DOUBLE)    ? (const void *)&wide
                       : type == TYPE(FLOAT16) ? (void *)&half
                                               : &value;
    size_t size = type == TYPE(DOUBLE) ? sizeof wide : type == TYPE(FLOAT16) ? sizeof half : sizeof value;
    return i4q_up_constant_node(u, node, suffix, type, NULL, 0, data, size);
}

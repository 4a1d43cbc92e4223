// SPDX-License-Identifier: Apache-2.0
#include "onnx/opset/types.h"

#include "onnx/opset/names.h"

#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static int32_t declared_type(const Onnx__TypeProto *type)
{
    const Onnx__TypeProto__Tensor *tensor = i4q_tensor_type(type);
    return tensor ? tensor->elem_type : 0;
}

int32_t i4q_opset_type(const struct i4q_value *value)
{
    int32_t declared = declared_type(value->type);
    const Onnx__TensorProto *tensor = declared ? NULL : i4q_value_tensor(value);
    return declared ? declared : tensor ? tensor->data_type : value->element_type;
}

/* ---- nodes that say themselves what comes out of them */

static int32_t from_to(const Onnx__NodeProto *node, size_t output)
{
    return (int32_t)i4q_node_int(node, "to", 0);
}

static int32_t from_dtype(const Onnx__NodeProto *node, size_t output)
{
    return (int32_t)i4q_node_int(node, "dtype", 0);
}

static int32_t from_dtype_or_float(const Onnx__NodeProto *node, size_t output)
{
    return (int32_t)i4q_node_int(node, "dtype", TYPE(FLOAT));
}

static int32_t from_value_or_float(const Onnx__NodeProto *node, size_t output)
{
    const Onnx__AttributeProto *value = i4q_node_attribute(node, "value");
    return value && value->t ? value->t->data_type : TYPE(FLOAT);
}

static int32_t from_constant(const Onnx__NodeProto *node, size_t output)
{
    bool is_float = i4q_node_attribute(node, "value_float") || i4q_node_attribute(node, "value_floats");
    const Onnx__AttributeProto *value = i4q_node_attribute(node, "value");
    return is_float ? TYPE(FLOAT) : value && value->t ? value->t->data_type : 0;
}

/* Graphs declare their outputs. */
static int32_t from_body(const Onnx__NodeProto *node, const char *name, size_t output)
{
    const Onnx__AttributeProto *body = i4q_node_attribute(node, name);
    bool has = body && body->g && output < body->g->n_output;
    return has ? declared_type(body->g->output[output]->type) : 0;
}

static int32_t from_branch(const Onnx__NodeProto *node, size_t output)
{
    return from_body(node, "then_branch", output);
}

static int32_t from_scan(const Onnx__NodeProto *node, size_t output)
{
    return from_body(node, "body", output);
}

/* The first output of a Loop's body is its condition. */
static int32_t from_loop(const Onnx__NodeProto *node, size_t output)
{
    return from_body(node, "body", output + 1);
}

static const struct {
    const char *op_type;
    int32_t (*type)(const Onnx__NodeProto *node, size_t output);
} tellers[] = {
    {"Bernoulli", from_dtype},
    {"Cast", from_to},
    {"Constant", from_constant},
    {"ConstantOfShape", from_value_or_float},
    {"EyeLike", from_dtype_or_float},
    {"If", from_branch},
    {"Loop", from_loop},
    {"RandomNormal", from_dtype_or_float},
    {"RandomNormalLike", from_dtype},
    {"RandomUniform", from_dtype_or_float},
    {"RandomUniformLike", from_dtype},
    {"Scan", from_scan},
};

static int32_t told_type(const Onnx__NodeProto *node, size_t output)
{
    for (size_t i = 0; i < sizeof tellers / sizeof *tellers; i++)
        if (strcmp(node->op_type, tellers[i].op_type) == 0)
            return tellers[i].type(node, output);
    return 0;
}

/* ---- all nodes */

static int32_t type_of_inputs(const struct i4q_node *node, const struct i4q_opset_operator *known)
{
    int32_t type = 0;
    for (size_t i = 0; i < node->proto->n_input && !type; i++) {
        const struct i4q_value *value =
            i4q_opset_has_type(known, i) ? i4q_scope_resolve(node->scope, node->proto->input[i]) : NULL;
        type = value ? i4q_opset_type(value) : 0;
    }
    return type;
}

static void set_types(const struct i4q_node *node)
{
    const Onnx__NodeProto *proto = node->proto;
    const struct i4q_opset_operator *known =
        i4q_is_standard_domain(proto->domain) ? i4q_opset_find(i4q_text(proto->op_type)) : NULL;
    int32_t common = known ? type_of_inputs(node, known) : 0;
    for (size_t i = 0; known && i < proto->n_output; i++) {
        struct i4q_value *value = i4q_output_value(node, i);
        int32_t told = told_type(proto, i);
        if (value)
            value->element_type = told ? told : i == 0 || known->every_output ? common : 0;
    }
}

void i4q_opset_find_types(struct i4q_model *model)
{
    for (size_t i = 0; i < model->graph.n_nodes; i++)
        set_types(model->graph.sorted[i]);
}

// SPDX-License-Identifier: Apache-2.0
#include "onnx/node.h"

#include <string.h>

const char *i4q_text(const char *string)
{
    return string ? string : "";
}

bool i4q_is_standard_domain(const char *domain)
{
    return !*i4q_text(domain) || strcmp(domain, "ai.onnx") == 0;
}

bool i4q_node_is(const Onnx__NodeProto *node, const char *op_type)
{
    return strcmp(i4q_text(node->op_type), op_type) == 0 && i4q_is_standard_domain(node->domain);
}

bool i4q_node_is_of(const Onnx__NodeProto *node, const char *domain, const char *op_type)
{
    if (!domain)
        return i4q_node_is(node, op_type);
    return strcmp(i4q_text(node->domain), domain) == 0 && strcmp(i4q_text(node->op_type), op_type) == 0;
}

const char *i4q_node_label(const Onnx__NodeProto *node)
{
    if (*i4q_text(node->name))
        return node->name;
    return node->n_output ? node->output[0] : "";
}

Onnx__AttributeProto *i4q_node_attribute(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(i4q_text(node->attribute[i]->name), name) == 0)
            return node->attribute[i];
    return NULL;
}

int64_t i4q_node_int(const Onnx__NodeProto *node, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, name);
    return attribute ? attribute->i : otherwise;
}

int64_t i4q_opset_version(Onnx__OperatorSetIdProto *const *imports, size_t n)
{
    int64_t version = 0;
    for (size_t i = 0; i < n; i++)
        if (i4q_is_standard_domain(imports[i]->domain) && imports[i]->version > version)
            version = imports[i]->version;
    return version;
}

// SPDX-License-Identifier: Apache-2.0
#include "onnx/edit.h"

#include "onnx/trial.h"

#include <string.h>

#define ATTRIBUTE_TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

/* The lists of strings and messages that a message has: their elements are pointers. */
static bool note_list(struct i4q_trial *trial, ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field)
{
    char *base = (char *)message;
    if (field->label != PROTOBUF_C_LABEL_REPEATED ||
        (field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_STRING))
        return true;
    size_t count = *(const size_t *)(base + field->quantifier_offset);
    return i4q_trial_note(trial, *(void **)(base + field->offset), count * sizeof(void *));
}

bool i4q_edit_open(struct i4q_model *model, ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (!model->trial)
        return true;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (!note_list(model->trial, message, &type->fields[i]))
            return false;
    return i4q_trial_note(model->trial, message, type->sizeof_message);
}

/* A copy of an array of strings, not of the strings. */
static char **copy_names(struct i4q_model *model, const char *const *names, size_t n)
{
    char **copy = i4q_arena_alloc(&model->arena, n, sizeof *copy);
    if (copy && n)
        memcpy(copy, names, n * sizeof *copy);
    return copy;
}

Onnx__NodeProto *i4q_edit_node(struct i4q_model *model, const char *op_type, const char *name,
                               const char *const *inputs, size_t n_inputs, const char *const *outputs,
                               size_t n_outputs)
{
    Onnx__NodeProto *node = i4q_arena_alloc(&model->arena, 1, sizeof *node);
    if (!node)
        return NULL;
    onnx__node_proto__init(node);
    node->op_type = (char *)op_type;
    node->name = (char *)name;
    node->input = copy_names(model, inputs, n_inputs);
    node->n_input = n_inputs;
    node->output = copy_names(model, outputs, n_outputs);
    node->n_output = n_outputs;
    return node->input && node->output ? node : NULL;
}

bool i4q_edit_add_attribute(struct i4q_model *model, Onnx__NodeProto *node, Onnx__AttributeProto *attribute)
{
    Onnx__AttributeProto **list = i4q_arena_alloc(&model->arena, node->n_attribute + 1, sizeof *list);
    if (!list || !i4q_edit_open(model, &node->base))
        return false;
    if (node->n_attribute)
        memcpy(list, node->attribute, node->n_attribute * sizeof *list);
    list[node->n_attribute++] = attribute;
    node->attribute = list;
    return true;
}

/* A new attribute at the end of the node's list. */
static Onnx__AttributeProto *add_attribute(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                                           Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *attribute = i4q_arena_alloc(&model->arena, 1, sizeof *attribute);
    if (!attribute || !i4q_edit_add_attribute(model, node, attribute))
        return NULL;
    onnx__attribute_proto__init(attribute);
    attribute->name = (char *)name;
    attribute->has_type = true;
    attribute->type = type;
    return attribute;
}

bool i4q_edit_add_int(struct i4q_model *model, Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute = add_attribute(model, node, name, ATTRIBUTE_TYPE(INT));
    if (!attribute)
        return false;
    attribute->has_i = true;
    attribute->i = value;
    return true;
}

bool i4q_edit_add_ints(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                       const int64_t *values, size_t n)
{
    Onnx__AttributeProto *attribute = add_attribute(model, node, name, ATTRIBUTE_TYPE(INTS));
    int64_t *copy = i4q_arena_alloc(&model->arena, n, sizeof *copy);
    if (!attribute || !copy)
        return false;
    if (n)
        memcpy(copy, values, n * sizeof *copy);
    attribute->ints = copy;
    attribute->n_ints = n;
    return true;
}

bool i4q_edit_add_float(struct i4q_model *model, Onnx__NodeProto *node, const char *name, float value)
{
    Onnx__AttributeProto *attribute = add_attribute(model, node, name, ATTRIBUTE_TYPE(FLOAT));
    if (!attribute)
        return false;
    attribute->has_f = true;
    attribute->f = value;
    return true;
}

bool i4q_edit_add_graph(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                        Onnx__GraphProto *graph)
{
    Onnx__AttributeProto *attribute = add_attribute(model, node, name, ATTRIBUTE_TYPE(GRAPH));
    if (attribute)
        attribute->g = graph;
    return attribute != NULL;
}

bool i4q_edit_add_reference(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                            Onnx__AttributeProto__AttributeType type, const char *source)
{
    Onnx__AttributeProto *attribute = add_attribute(model, node, name, type);
    if (attribute)
        attribute->ref_attr_name = (char *)source;
    return attribute != NULL;
}

bool i4q_edit_add_string(struct i4q_model *model, Onnx__NodeProto *node, const char *name, const char *value)
{
    Onnx__AttributeProto *attribute = add_attribute(model, node, name, ATTRIBUTE_TYPE(STRING));
    if (!attribute)
        return false;
    attribute->has_s = true;
    attribute->s = (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
    return true;
}

bool i4q_edit_add_tensor(struct i4q_model *model, Onnx__NodeProto *node, const char *name,
                         Onnx__TensorProto *value)
{
    Onnx__AttributeProto *attribute = add_attribute(model, node, name, ATTRIBUTE_TYPE(TENSOR));
    if (attribute)
        attribute->t = value;
    return attribute != NULL;
}

void i4q_edit_remove_attribute(Onnx__NodeProto *node, const Onnx__AttributeProto *attribute)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i] != attribute)
            node->attribute[kept++] = node->attribute[i];
    node->n_attribute = kept;
}

bool i4q_edit_set_input(struct i4q_model *model, Onnx__NodeProto *node, size_t index, const char *value)
{
    if (!i4q_edit_open(model, &node->base))
        return false;
    if (index >= node->n_input) {
        char **inputs = i4q_arena_alloc(&model->arena, index + 1, sizeof *inputs);
        if (!inputs)
            return false;
        for (size_t i = 0; i <= index; i++)
            inputs[i] = i < node->n_input ? node->input[i] : (char *)"";
        node->input = inputs;
        node->n_input = index + 1;
    }
    node->input[index] = (char *)value;
    return true;
}

Onnx__TensorProto *i4q_edit_tensor(struct i4q_model *model, const char *name, int32_t data_type,
                                   const int64_t *dims, size_t n_dims, const void *data, size_t size)
{
    Onnx__TensorProto *tensor = i4q_arena_alloc(&model->arena, 1, sizeof *tensor);
    int64_t *own_dims = i4q_arena_alloc(&model->arena, n_dims, sizeof *own_dims);
    if (!tensor || !own_dims)
        return NULL;
    onnx__tensor_proto__init(tensor);
    if (n_dims)
        memcpy(own_dims, dims, n_dims * sizeof *dims);
    tensor->name = (char *)name;
    tensor->has_data_type = true;
    tensor->data_type = data_type;
    tensor->dims = own_dims;
    tensor->n_dims = n_dims;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){size, (uint8_t *)data};
    return tensor;
}

Onnx__TensorProto *i4q_edit_blank_tensor(struct i4q_model *model, const char *name, int32_t data_type,
                                         const int64_t *dims, size_t n_dims, size_t size)
{
    const void *data = i4q_arena_alloc(&model->arena, size, 1);
    return data ? i4q_edit_tensor(model, name, data_type, dims, n_dims, data, size) : NULL;
}

void i4q_edit_follow_layout(Onnx__TensorProto *tensor, const Onnx__TensorProto *original)
{
    bool external = original->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (!external || tensor->raw_data.len < I4Q_EXTERNAL_THRESHOLD)
        return;
    tensor->has_data_location = true;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

void i4q_edit_take_place(Onnx__TensorProto *tensor, const Onnx__TensorProto *original)
{
    i4q_edit_follow_layout(tensor, original);
    tensor->doc_string = original->doc_string;
    tensor->metadata_props = original->metadata_props;
    tensor->n_metadata_props = original->n_metadata_props;
}

bool i4q_edit_add_initializer(struct i4q_model *model, struct i4q_scope *scope, Onnx__TensorProto *tensor)
{
    Onnx__GraphProto *graph = scope->graph;
    struct i4q_list *list = &scope->initializers;
    if (list->items != (void **)graph->initializer || list->count != graph->n_initializer) {
        if (!i4q_edit_open(model, &graph->base))
            return false;
        *list = (struct i4q_list){(void **)graph->initializer, graph->n_initializer, graph->n_initializer};
    }
    if (!i4q_list_add(&model->arena, list, tensor))
        return false;
    graph->initializer = (Onnx__TensorProto **)list->items;
    graph->n_initializer = list->count;
    return true;
}

bool i4q_edit_import(struct i4q_model *model, const char *domain)
{
    Onnx__ModelProto *proto = model->proto;
    struct i4q_list imports = {0};
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        if (strcmp(i4q_text(proto->opset_import[i]->domain), domain) == 0)
            return true;
        if (!i4q_list_add(&model->arena, &imports, proto->opset_import[i]))
            return false;
    }
    Onnx__OperatorSetIdProto *import = i4q_arena_alloc(&model->arena, 1, sizeof *import);
    if (!import || !i4q_edit_open(model, &proto->base) || !i4q_list_add(&model->arena, &imports, import))
        return false;
    onnx__operator_set_id_proto__init(import);
    import->domain = (char *)domain;
    import->has_version = true;
    import->version = 1;
    proto->opset_import = (Onnx__OperatorSetIdProto **)imports.items;
    proto->n_opset_import = imports.count;
    return true;
}

static bool is_same_function(const Onnx__FunctionProto *a, const Onnx__FunctionProto *b)
{
    return strcmp(i4q_text(a->domain), i4q_text(b->domain)) == 0 &&
           strcmp(i4q_text(a->name), i4q_text(b->name)) == 0 &&
           strcmp(i4q_text(a->overload), i4q_text(b->overload)) == 0;
}

bool i4q_edit_set_function(struct i4q_model *model, Onnx__FunctionProto *function)
{
    Onnx__ModelProto *proto = model->proto;
    struct i4q_list functions = {0};
    bool found = false;
    for (size_t i = 0; i < proto->n_functions; i++) {
        bool same = is_same_function(proto->functions[i], function);
        if (!i4q_list_add(&model->arena, &functions, same ? function : proto->functions[i]))
            return false;
        found |= same;
    }
    if (!i4q_edit_open(model, &proto->base) || (!found && !i4q_list_add(&model->arena, &functions, function)))
        return false;
    proto->functions = (Onnx__FunctionProto **)functions.items;
    proto->n_functions = functions.count;
    return true;
}

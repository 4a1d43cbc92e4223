// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/dtype.h"
#include "onnx/maker.h"

enum { IR_VERSION = 10, MOST = 80, DIMENSION = 8 };

void *maker_room(struct maker *maker, size_t count, size_t size)
{
    void *memory = i4q_arena_alloc(&maker->messages, count, size);
    assert_non_null(memory);
    return memory;
}

#define NEW(count, type) ((type *)maker_room(maker, count, sizeof(type)))

static char *copy(struct maker *maker, const char *text)
{
    char *made = i4q_arena_format(&maker->messages, "%s", text);
    assert_non_null(made);
    return made;
}

void maker_open(struct maker *maker, int64_t opset)
{
    memset(maker, 0, sizeof *maker);
    i4q_arena_init(&maker->messages, SIZE_MAX / 2);
    onnx__model_proto__init(&maker->proto);
    onnx__graph_proto__init(&maker->graph);
    Onnx__OperatorSetIdProto *import = NEW(1, Onnx__OperatorSetIdProto);
    onnx__operator_set_id_proto__init(import);
    import->has_version = maker->proto.has_ir_version = true;
    import->version = opset;
    maker->proto.ir_version = IR_VERSION;
    maker->proto.opset_import = NEW(1, Onnx__OperatorSetIdProto *);
    maker->proto.opset_import[maker->proto.n_opset_import++] = import;
    maker->proto.graph = &maker->graph;
    maker->graph.node = NEW(MOST, Onnx__NodeProto *);
    maker->graph.initializer = NEW(MOST, Onnx__TensorProto *);
    maker->graph.input = NEW(MOST, Onnx__ValueInfoProto *);
    maker->graph.output = NEW(MOST, Onnx__ValueInfoProto *);
}

void maker_close(struct maker *maker)
{
    i4q_model_free(&maker->model);
    i4q_arena_free(&maker->messages);
    free(maker->bytes);
    memset(maker, 0, sizeof *maker);
}

/* ---- nodes */

static size_t split(struct maker *maker, const char *names, char ***list)
{
    size_t n = 0;
    *list = NEW(MOST, char *);
    for (char *name = strtok(copy(maker, names), " "); name; name = strtok(NULL, " ")) {
        assert_true(n < MOST);
        (*list)[n++] = strcmp(name, "-") == 0 ? name + 1 : name;
    }
    return n;
}

Onnx__NodeProto *maker_node(struct maker *maker, const char *op, const char *inputs, const char *outputs)
{
    Onnx__NodeProto *node = NEW(1, Onnx__NodeProto);
    onnx__node_proto__init(node);
    node->op_type = copy(maker, op);
    node->n_input = split(maker, inputs, &node->input);
    node->n_output = split(maker, outputs, &node->output);
    node->name = node->n_output ? node->output[0] : NULL;
    node->attribute = NEW(MOST, Onnx__AttributeProto *);
    assert_true(maker->graph.n_node < MOST);
    maker->graph.node[maker->graph.n_node++] = node;
    return node;
}

static Onnx__AttributeProto *attribute(struct maker *maker, Onnx__NodeProto *node, const char *name,
                                       Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *made = NEW(1, Onnx__AttributeProto);
    onnx__attribute_proto__init(made);
    made->name = copy(maker, name);
    made->has_type = true;
    made->type = type;
    assert_true(node->n_attribute < MOST);
    return node->attribute[node->n_attribute++] = made;
}

void maker_int(struct maker *maker, Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *made = attribute(maker, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    made->has_i = true;
    made->i = value;
}

void maker_ints(struct maker *maker, Onnx__NodeProto *node, const char *name, const int64_t *values, size_t n)
{
    Onnx__AttributeProto *made = attribute(maker, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    made->n_ints = n;
    made->ints = memcpy(NEW(n, int64_t), values, n * sizeof *values);
}

void maker_text(struct maker *maker, Onnx__NodeProto *node, const char *name, const char *value)
{
    Onnx__AttributeProto *made = attribute(maker, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    made->has_s = true;
    made->s = (ProtobufCBinaryData){strlen(value), (uint8_t *)copy(maker, value)};
}

/* ---- tensors */

Onnx__TensorProto *maker_bytes(struct maker *maker, const char *name, int32_t type, const int64_t dims[4],
                               const void *values)
{
    Onnx__TensorProto *tensor = NEW(1, Onnx__TensorProto);
    onnx__tensor_proto__init(tensor);
    tensor->name = copy(maker, name);
    tensor->dims = NEW(4, int64_t);
    size_t count = 1;
    for (size_t i = 0; dims && i < 4 && dims[i]; i++) {
        tensor->dims[tensor->n_dims++] = dims[i];
        count *= (size_t)dims[i];
    }
    size_t size = i4q_dtype_bytes(i4q_dtype_find(type), count);
    tensor->has_data_type = tensor->has_raw_data = true;
    tensor->data_type = type;
    tensor->raw_data = (ProtobufCBinaryData){size, memcpy(NEW(size, uint8_t), values, size)};
    assert_true(maker->graph.n_initializer < MOST);
    return maker->graph.initializer[maker->graph.n_initializer++] = tensor;
}

Onnx__TensorProto *maker_floats(struct maker *maker, const char *name, const int64_t dims[4],
                                const float *values)
{
    return maker_bytes(maker, name, I4Q_TYPE(FLOAT), dims, values);
}

static Onnx__ValueInfoProto *info(struct maker *maker, const char *name, size_t rank)
{
    Onnx__ValueInfoProto *made = NEW(1, Onnx__ValueInfoProto);
    Onnx__TypeProto *type = NEW(1, Onnx__TypeProto);
    Onnx__TypeProto__Tensor *tensor = NEW(1, Onnx__TypeProto__Tensor);
    Onnx__TensorShapeProto *shape = NEW(1, Onnx__TensorShapeProto);
    onnx__value_info_proto__init(made);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    made->name = copy(maker, name);
    made->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = true;
    tensor->elem_type = I4Q_TYPE(FLOAT);
    tensor->shape = rank ? shape : NULL;
    shape->dim = NEW(rank + 1, Onnx__TensorShapeProto__Dimension *);
    for (; shape->n_dim < rank; shape->n_dim++) {
        Onnx__TensorShapeProto__Dimension *dim = NEW(1, Onnx__TensorShapeProto__Dimension);
        onnx__tensor_shape_proto__dimension__init(dim);
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = DIMENSION;
        shape->dim[shape->n_dim] = dim;
    }
    return made;
}

Onnx__ValueInfoProto *maker_input(struct maker *maker, const char *name, size_t rank)
{
    assert_true(maker->graph.n_input < MOST);
    return maker->graph.input[maker->graph.n_input++] = info(maker, name, rank);
}

void maker_output(struct maker *maker, const char *name, size_t rank)
{
    assert_true(maker->graph.n_output < MOST);
    maker->graph.output[maker->graph.n_output++] = info(maker, name, rank);
}

/* ---- loading */

size_t maker_pack(const struct maker *maker, uint8_t **bytes)
{
    *bytes = malloc(onnx__model_proto__get_packed_size(&maker->proto));
    assert_non_null(*bytes);
    return onnx__model_proto__pack(&maker->proto, *bytes);
}

bool maker_try_load(struct maker *maker)
{
    i4q_model_free(&maker->model);
    free(maker->bytes);
    maker->error = (struct i4q_error){0};
    size_t size = maker_pack(maker, &maker->bytes);
    return i4q_model_load_bytes(&maker->model, (struct i4q_view){maker->bytes, size}, "-", false,
                                &maker->error);
}

void maker_load(struct maker *maker)
{
    if (!maker_try_load(maker))
        fail_msg("%s", maker->error.message);
}

struct i4q_value *maker_value(struct maker *maker, const char *name)
{
    struct i4q_value *value = i4q_scope_resolve(maker->model.graph.scopes, name);
    assert_non_null(value);
    return value;
}

const Onnx__TensorProto *maker_initializer(struct maker *maker, const char *name)
{
    const Onnx__GraphProto *graph = maker->model.proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (strcmp(graph->initializer[i]->name, name) == 0)
            return graph->initializer[i];
    fail_msg("there is no initializer '%s'", name);
    return NULL;
}

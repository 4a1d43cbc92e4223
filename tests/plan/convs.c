// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/convs.h"
#include "plan/planner.h"

#include <math.h>

enum { OPSET = 17, IR_VERSION = 8 };

/* ---- messages, which need to live until they are packed */

static struct i4q_arena messages;

#define NEW(count, type) ((type *)new (count, sizeof(type)))

static void *new (size_t count, size_t size)
{
    void *memory = i4q_arena_alloc(&messages, count, size);
    assert_non_null(memory);
    return memory;
}

static char *text(const char *prefix, const char *name)
{
    char *made = i4q_arena_format(&messages, "%s%s", prefix, name);
    assert_non_null(made);
    return made;
}

static Onnx__TensorProto *make_tensor(const char *name, const int64_t *dims, size_t rank, const float *values)
{
    size_t count = 1;
    Onnx__TensorProto *tensor = NEW(1, Onnx__TensorProto);
    onnx__tensor_proto__init(tensor);
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    float *data = NEW(count, float);
    for (size_t i = 0; i < count; i++)
        data[i] = values ? values[i] : sinf((float)i * 0.7f);
    tensor->name = text("", name);
    tensor->dims = (int64_t *)dims;
    tensor->n_dims = rank;
    tensor->has_data_type = tensor->has_raw_data = true;
    tensor->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->raw_data = (ProtobufCBinaryData){count * sizeof *data, (uint8_t *)data};
    return tensor;
}

static Onnx__TypeProto *make_type(int64_t channels)
{
    Onnx__TypeProto *type = NEW(1, Onnx__TypeProto);
    Onnx__TypeProto__Tensor *tensor = NEW(1, Onnx__TypeProto__Tensor);
    Onnx__TensorShapeProto *shape = NEW(1, Onnx__TensorShapeProto);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = true;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = shape;
    shape->dim = NEW(4, Onnx__TensorShapeProto__Dimension *);
    for (shape->n_dim = 0; shape->n_dim < 4; shape->n_dim++) {
        Onnx__TensorShapeProto__Dimension *dim = NEW(1, Onnx__TensorShapeProto__Dimension);
        onnx__tensor_shape_proto__dimension__init(dim);
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = shape->n_dim == 1 ? channels : 8;
        shape->dim[shape->n_dim] = dim;
    }
    return type;
}

static Onnx__ValueInfoProto *make_info(char *name)
{
    Onnx__ValueInfoProto *info = NEW(1, Onnx__ValueInfoProto);
    onnx__value_info_proto__init(info);
    info->name = name;
    return info;
}

static void add_initializer(Onnx__GraphProto *graph, Onnx__TensorProto *tensor)
{
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (strcmp(graph->initializer[i]->name, tensor->name) == 0)
            return;
    graph->initializer[graph->n_initializer++] = tensor;
}

/* A node with up to three inputs, of which the last may be NULL. */
static void add_node(Onnx__GraphProto *graph, const char *op, const char *name, char *const *inputs,
                     char *output)
{
    Onnx__NodeProto *node = NEW(1, Onnx__NodeProto);
    onnx__node_proto__init(node);
    node->op_type = text("", op);
    node->name = text("", name);
    node->input = NEW(3, char *);
    for (size_t i = 0; i < 3 && inputs[i]; i++)
        node->input[node->n_input++] = inputs[i];
    node->output = NEW(1, char *);
    node->output[node->n_output++] = output;
    graph->node[graph->n_node++] = node;
}

static void add_conv(Onnx__GraphProto *graph, const struct test_conv *spec)
{
    static const float zeros[64];
    char *bias = spec->bias ? text("b_", spec->name) : NULL, *y = text("y_", spec->name);
    add_node(graph, "Conv", spec->name,
             (char *[]){text("", spec->input ? spec->input : "x"), text("", spec->weight), bias}, y);
    add_initializer(graph, make_tensor(spec->weight, spec->dims, 4, spec->values));
    if (bias)
        add_initializer(graph, make_tensor(bias, spec->dims, 1, zeros));
    char *z = text("z_", spec->name);
    if (spec->then)
        add_node(graph, spec->then, z, (char *[]){y, spec->with ? text("", spec->with) : NULL, NULL}, z);
}

/* What nobody reads is an output. */
static void add_outputs(Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_node; i++) {
        char *name = graph->node[i]->output[0];
        bool read = false;
        for (size_t n = 0; n < graph->n_node; n++)
            for (size_t k = 0; k < graph->node[n]->n_input; k++)
                read |= strcmp(graph->node[n]->input[k], name) == 0;
        if (!read)
            graph->output[graph->n_output++] = make_info(name);
    }
}

static size_t pack(const struct test_conv *specs, size_t count, uint8_t **bytes)
{
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto import, *imports[] = {&import};
    i4q_arena_init(&messages, SIZE_MAX / 2);
    onnx__model_proto__init(&model);
    onnx__graph_proto__init(&graph);
    onnx__operator_set_id_proto__init(&import);
    import.has_version = model.has_ir_version = true;
    import.version = OPSET;
    model.ir_version = IR_VERSION;
    model.opset_import = imports;
    model.n_opset_import = 1;
    model.graph = &graph;
    graph.node = NEW(2 * TEST_CONVS, Onnx__NodeProto *);
    graph.initializer = NEW(2 * TEST_CONVS, Onnx__TensorProto *);
    graph.output = NEW(TEST_CONVS, Onnx__ValueInfoProto *);
    graph.input = (Onnx__ValueInfoProto *[]){make_info(text("x", ""))};
    graph.input[0]->type = make_type(specs[0].dims[1]);
    graph.n_input = 1;
    for (size_t i = 0; i < count; i++)
        add_conv(&graph, &specs[i]);
    add_outputs(&graph);
    *bytes = malloc(onnx__model_proto__get_packed_size(&model));
    assert_non_null(*bytes);
    size_t size = onnx__model_proto__pack(&model, *bytes);
    i4q_arena_free(&messages);
    return size;
}

/* ---- models and plans */

void convs_load(struct convs *convs, const struct test_conv *specs, size_t count)
{
    assert_true(count <= TEST_CONVS);
    *convs = (struct convs){
        .options = {
            .target = {.format = i4q_format_find("int4"), .form = &i4q_form_dq, .method = i4q_methods[0]},
            .kept = {.form = &i4q_form_dq, .method = i4q_methods[0]},
            .correct_bias = true,
            .threads = 1}};
    size_t size = pack(specs, count, &convs->bytes);
    if (!i4q_model_load_bytes(&convs->model, (struct i4q_view){convs->bytes, size}, "-", false,
                              &convs->error) ||
        !i4q_weights_find(&convs->model, i4q_ops_conv(), false, &convs->facts, &convs->error))
        fail_msg("%s", convs->error.message);
}

void convs_free(struct convs *convs)
{
    i4q_model_free(&convs->model);
    free(convs->bytes);
}

void convs_plan(struct convs *convs)
{
    if (!i4q_plan_make(&convs->facts, &convs->options, &convs->plan, &convs->error))
        fail_msg("%s", convs->error.message);
}

const char *convs_reasons(const struct i4q_plan *plan)
{
    static char words[TEST_CONVS * 32];
    *words = '\0';
    for (size_t i = 0; i < plan->n_rows; i++) {
        const char *word = i4q_reasons[plan->rows[i].reason].word;
        size_t length = strlen(words);
        snprintf(words + length, sizeof words - length, "%s%s", i ? " " : "", word ? word : "-");
    }
    return words;
}

const struct i4q_kernels *convs_kernels(void)
{
    struct i4q_error error = {0};
    return i4q_kernels_choose(NULL, &error);
}

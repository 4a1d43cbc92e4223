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

static void add_conv(Onnx__GraphProto *graph, const struct test_conv *spec)
{
    static const float zeros[64];
    Onnx__NodeProto *node = NEW(1, Onnx__NodeProto);
    onnx__node_proto__init(node);
    node->op_type = text("Conv", "");
    node->name = text("", spec->name);
    node->input = NEW(3, char *);
    node->input[0] = text("x", "");
    node->input[1] = text("", spec->weight);
    node->n_input = 2;
    if (spec->bias)
        node->input[node->n_input++] = text("b_", spec->name);
    node->output = NEW(1, char *);
    node->output[0] = text("y_", spec->name);
    node->n_output = 1;
    graph->node[graph->n_node++] = node;
    graph->output[graph->n_output++] = make_info(node->output[0]);
    add_initializer(graph, make_tensor(spec->weight, spec->dims, 4, spec->values));
    if (spec->bias)
        add_initializer(graph, make_tensor(node->input[2], spec->dims, 1, zeros));
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
    graph.node = NEW(TEST_CONVS, Onnx__NodeProto *);
    graph.initializer = NEW(2 * TEST_CONVS, Onnx__TensorProto *);
    graph.output = NEW(TEST_CONVS, Onnx__ValueInfoProto *);
    graph.input = (Onnx__ValueInfoProto *[]){make_info(text("x", ""))};
    graph.n_input = 1;
    for (size_t i = 0; i < count; i++)
        add_conv(&graph, &specs[i]);
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
        !i4q_weights_find(&convs->model, i4q_ops_conv(), &convs->facts, &convs->error))
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

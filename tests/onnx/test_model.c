// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/layers.h"
#include "onnx/model.h"

#include <glob.h>

/* A model in the making: one graph, filled by the tests, packed to bytes and loaded again. */
struct fixture {
    Onnx__ModelProto proto;
    Onnx__GraphProto graph;
    uint8_t *bytes;
    size_t size;
    struct i4q_model model;
    struct i4q_error error;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    onnx__model_proto__init(&fixture->proto);
    onnx__graph_proto__init(&fixture->graph);
    fixture->proto.has_ir_version = true;
    fixture->proto.ir_version = 8;
    fixture->proto.graph = &fixture->graph;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    i4q_model_free(&fixture->model);
    free(fixture->bytes);
    free(fixture);
    return 0;
}

static bool load(struct fixture *fixture)
{
    free(fixture->bytes);
    fixture->size = onnx__model_proto__get_packed_size(&fixture->proto);
    fixture->bytes = malloc(fixture->size + 1);
    onnx__model_proto__pack(&fixture->proto, fixture->bytes);
    i4q_model_free(&fixture->model);
    fixture->error = (struct i4q_error){0};
    return i4q_model_load_bytes(&fixture->model, (struct i4q_view){fixture->bytes, fixture->size}, "-", false,
                                &fixture->error);
}

static void assert_loads(struct fixture *fixture)
{
    if (!load(fixture))
        fail_msg("%s", fixture->error.message);
}

static void add_initializer(struct fixture *fixture, const char *name, const char *data)
{
    static Onnx__TensorProto tensors[8];
    static Onnx__TensorProto *list[8];
    size_t i = fixture->graph.n_initializer++;
    onnx__tensor_proto__init(&tensors[i]);
    tensors[i].name = (char *)name;
    tensors[i].has_raw_data = true;
    tensors[i].raw_data = (ProtobufCBinaryData){strlen(data), (uint8_t *)data};
    list[i] = &tensors[i];
    fixture->graph.initializer = list;
}

static Onnx__NodeProto *add_node(struct fixture *fixture, const char *op, const char *input,
                                 const char *output)
{
    static Onnx__NodeProto nodes[8];
    static Onnx__NodeProto *list[8];
    static char *names[8][3];
    size_t i = fixture->graph.n_node++;
    onnx__node_proto__init(&nodes[i]);
    names[i][0] = (char *)"x";
    names[i][1] = (char *)input;
    names[i][2] = (char *)output;
    nodes[i].op_type = (char *)op;
    nodes[i].name = (char *)op;
    nodes[i].input = names[i];
    nodes[i].n_input = 2;
    nodes[i].output = &names[i][2];
    nodes[i].n_output = 1;
    list[i] = &nodes[i];
    fixture->graph.node = list;
    return &nodes[i];
}

static void payloads_alias_the_bytes(void **state)
{
    struct fixture *f = *state;
    add_initializer(f, "a", "first payload");
    add_initializer(f, "b", "");
    add_initializer(f, "c", "second payload");
    assert_loads(f);
    const Onnx__TensorProto *last = f->model.proto->graph->initializer[2];
    assert_int_equal(last->raw_data.len, strlen("second payload"));
    assert_memory_equal(last->raw_data.data, "second payload", last->raw_data.len);
    assert_true(last->raw_data.data > f->bytes && last->raw_data.data < f->bytes + f->size);
    assert_true(f->model.proto->graph->initializer[1]->has_raw_data);
}

static void unchanged_models_are_written_as_they_were(void **state)
{
    struct fixture *f = *state;
    add_initializer(f, "w", "payload");
    add_node(f, "Conv", "w", "y");
    f->proto.producer_name = (char *)"";
    assert_loads(f);
    uint8_t *again = malloc(f->size);
    assert_int_equal(onnx__model_proto__get_packed_size(f->model.proto), f->size);
    onnx__model_proto__pack(f->model.proto, again);
    assert_memory_equal(again, f->bytes, f->size);
    free(again);
}

/* The models of tests/data were written by another protobuf library. */
static void stored_models_are_written_as_they_were(void **state)
{
    struct fixture *f = *state;
    glob_t files;
    assert_int_equal(glob(TEST_DATA "/good-*.onnx", 0, NULL, &files), 0);
    assert_true(files.gl_pathc > 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (!i4q_model_load(&f->model, files.gl_pathv[i], false, &f->error))
            fail_msg("%s: %s", files.gl_pathv[i], f->error.message);
        struct i4q_view bytes = f->model.input.bytes;
        uint8_t *again = malloc(bytes.size);
        assert_int_equal(onnx__model_proto__get_packed_size(f->model.proto), bytes.size);
        onnx__model_proto__pack(f->model.proto, again);
        assert_memory_equal(again, bytes.data, bytes.size);
        free(again);
        i4q_model_free(&f->model);
    }
    globfree(&files);
}

static void uses_are_found_across_bodies(void **state)
{
    struct fixture *f = *state;
    add_initializer(f, "w", "payload");
    Onnx__NodeProto *branch = add_node(f, "If", "", "z");
    Onnx__NodeProto inner = ONNX__NODE_PROTO__INIT, *inner_list[] = {&inner};
    char *inputs[] = {(char *)"x", (char *)"w"}, *outputs[] = {(char *)"y"};
    inner.op_type = inner.name = (char *)"Conv";
    inner.input = inputs;
    inner.n_input = 2;
    inner.output = outputs;
    inner.n_output = 1;
    Onnx__GraphProto body = ONNX__GRAPH_PROTO__INIT;
    body.node = inner_list;
    body.n_node = 1;
    Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT, *attributes[] = {&attribute};
    attribute.name = (char *)"then_branch";
    attribute.g = &body;
    branch->attribute = attributes;
    branch->n_attribute = 1;
    assert_loads(f);
    const struct i4q_value *weight = i4q_scope_resolve(f->model.graph.scopes, "w");
    assert_non_null(weight->uses);
    assert_string_equal(weight->uses->node->proto->op_type, "Conv");
    assert_ptr_not_equal(weight->uses->node->scope, f->model.graph.scopes);
    assert_null(weight->uses->next);
    struct i4q_conv *convs;
    size_t count;
    assert_true(i4q_layers_find(&f->model, i4q_ops_conv(), &convs, &count, &f->error));
    assert_int_equal(count, 1);
    assert_int_equal(convs[0].source, I4Q_SOURCE_STORED);
    assert_ptr_equal(convs[0].weight, weight);
    attribute.has_type = true;
    attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL,
                  "node 'If': its attribute 'then_branch' holds a graph, but has type 7");
}

/* Whatever the order in the file. x is an initializer here, and what nothing defines is no constant. */
static void nodes_are_sorted_and_constants_known(void **state)
{
    struct fixture *f = *state;
    static const char *const values[] = {"x", "a", "b", "c", "d", "r", "s"};
    static const bool constant[] = {true, true, true, false, false, false, false};
    add_initializer(f, "x", "payload");
    add_node(f, "Mul", "c", "d");
    add_node(f, "Add", "a", "b");
    add_node(f, "Sub", "nothing", "c");
    add_node(f, "Neg", "", "a");
    add_node(f, "Random", "", "r")->n_input = 0;
    add_node(f, "Div", "r", "s");
    assert_loads(f);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (i4q_scope_resolve(f->model.graph.scopes, values[i])->is_constant != constant[i])
            fail_msg("%s", values[i]);
    size_t place[6];
    assert_int_equal(f->model.graph.n_nodes, 6);
    for (size_t i = 0; i < 6; i++)
        place[f->model.graph.sorted[i]->index] = i;
    assert_true(place[2] < place[0] && place[3] < place[1] && place[4] < place[5]);
    add_node(f, "Max", "f", "e");
    add_node(f, "Min", "e", "f");
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL,
                  "node 'Max' (Max): it is in a cycle, or behind one: 2 of 8 nodes wait for each other");
}

static void new_names_are_free(void **state)
{
    struct fixture *f = *state;
    add_initializer(f, "w", "");
    add_initializer(f, "w_scale", "");
    add_initializer(f, "w_scale_1", "");
    assert_loads(f);
    assert_string_equal(i4q_graph_new_name(&f->model.graph, "w_scale"), "w_scale_2");
    assert_string_equal(i4q_graph_new_name(&f->model.graph, "w_scale"), "w_scale_3");
    assert_string_equal(i4q_graph_new_name(&f->model.graph, "w_zero_point"), "w_zero_point");
    assert_string_equal(i4q_graph_new_name(&f->model.graph, "w_zero_point"), "w_zero_point_1");
}

/* Names that are taken are tried once, not once for each new name. */
static void new_names_are_found_soon(void **state)
{
    enum { TAKEN = 2000, BYTES = 100 };
    struct fixture *f = *state;
    static char names[TAKEN][sizeof "w_scale_2000"];
    assert_loads(f);
    for (int i = 0; i < TAKEN; i++) {
        snprintf(names[i], sizeof names[i], i ? "w_scale_%d" : "w_scale", i);
        *i4q_table_at(&f->model.graph.names, names[i]) = (void *)1;
    }
    size_t before = f->model.arena.used;
    for (int i = 0; i < TAKEN; i++)
        assert_non_null(i4q_graph_new_name(&f->model.graph, "w_scale"));
    assert_true(f->model.arena.used - before < (size_t)TAKEN * 2 * BYTES);
    assert_string_equal(i4q_graph_new_name(&f->model.graph, "w_scale"), "w_scale_4000");
}

static void broken_models_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_false(i4q_model_load_bytes(&f->model, VIEW(""), "-", false, &f->error));
    assert_failed(f->error, I4Q_MODEL, "not an ONNX model: it is empty");
    f->proto.graph = NULL;
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL, "it has no graph");
    f->proto.graph = &f->graph;
    f->proto.has_ir_version = false;
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL, "it has no ir_version");
    f->proto.has_ir_version = true;
    Onnx__TrainingInfoProto training = ONNX__TRAINING_INFO_PROTO__INIT, *trainings[] = {&training};
    f->proto.training_info = trainings;
    f->proto.n_training_info = 1;
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL, "training_info");
    f->proto.n_training_info = 0;
    add_initializer(f, "w", "");
    add_initializer(f, "w", "");
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL, "two initializers are named 'w'");
}

static void external_data_has_its_rules(void **state)
{
    struct fixture *f = *state;
    add_initializer(f, "w", "");
    f->graph.initializer[0]->has_data_location = true;
    f->graph.initializer[0]->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL, "tensor 'w': external data beside inline data");
    f->graph.initializer[0]->has_raw_data = false;
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL, "tensor 'w': a model from standard input cannot have external data");
}

static void values_defined_twice_are_refused(void **state)
{
    struct fixture *f = *state;
    add_initializer(f, "w", "");
    add_node(f, "Relu", "", "w");
    assert_false(load(f));
    assert_failed(f->error, I4Q_MODEL, "two values are named 'w'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(payloads_alias_the_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(unchanged_models_are_written_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(stored_models_are_written_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(uses_are_found_across_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(nodes_are_sorted_and_constants_known, setup, teardown),
        cmocka_unit_test_setup_teardown(new_names_are_free, setup, teardown),
        cmocka_unit_test_setup_teardown(new_names_are_found_soon, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_models_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(external_data_has_its_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(values_defined_twice_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

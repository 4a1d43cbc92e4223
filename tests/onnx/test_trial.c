// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/edit.h"
#include "onnx/opset/upgrade.h"
#include "onnx/save.h"
#include "onnx/trial.h"

#include <glob.h>

static struct i4q_model model;
static uint8_t *before; /* the model, packed */
static size_t size;

static uint8_t *pack(size_t *bytes)
{
    *bytes = onnx__model_proto__get_packed_size(model.proto);
    uint8_t *packed = malloc(*bytes);
    assert_non_null(packed);
    onnx__model_proto__pack(model.proto, packed);
    return packed;
}

static bool load(const char *path)
{
    struct i4q_error error = {0};
    bool ok = i4q_model_load(&model, path, false, &error);
    before = ok ? pack(&size) : NULL;
    return ok;
}

static int setup(void **state)
{
    return load(TESTS "/data/good-detector.onnx") ? 0 : -1;
}

static int teardown(void **state)
{
    i4q_model_free(&model);
    free(before);
    before = NULL;
    return 0;
}

static void assert_as_before(void)
{
    size_t bytes;
    uint8_t *after = pack(&bytes);
    assert_int_equal(bytes, size);
    assert_memory_equal(after, before, size);
    free(after);
}

static void edit_a_node(void)
{
    Onnx__NodeProto *node = model.proto->graph->node[0];
    assert_true(i4q_edit_add_int(&model, node, "axis", 1));
    assert_true(i4q_edit_set_input(&model, node, 0, "other"));
    assert_true(i4q_edit_set_input(&model, node, 7, "far"));
    i4q_edit_remove_attribute(node, node->attribute[0]);
    node->op_type = (char *)"Other";
}

static void edit_the_graph(void)
{
    static const int64_t dims[] = {2};
    static const uint8_t data[8];
    for (size_t i = 0; i < 3; i++) {
        Onnx__TensorProto *tensor = i4q_edit_tensor(&model, i4q_graph_new_name(&model.graph, "new"),
                                                    ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, dims, 1, data, 8);
        assert_true(i4q_edit_add_initializer(&model, model.graph.scopes, tensor));
    }
    assert_true(i4q_edit_import(&model, "com.example"));
    Onnx__FunctionProto *function = i4q_arena_alloc(&model.arena, 1, sizeof *function);
    onnx__function_proto__init(function);
    assert_true(i4q_edit_set_function(&model, function));
}

static void edits_are_undone(void **state)
{
    struct i4q_trial trial;
    size_t used = model.arena.used, changed;
    i4q_trial_begin(&trial, &model);
    edit_a_node();
    edit_the_graph();
    uint8_t *edited = pack(&changed);
    assert_true(changed > size);
    free(edited);
    i4q_trial_end(&trial);
    assert_as_before();
    assert_int_equal(model.arena.used, used);
}

static void names_are_free_again(void **state)
{
    struct i4q_trial trial;
    i4q_trial_begin(&trial, &model);
    assert_string_equal(i4q_graph_new_name(&model.graph, "fresh"), "fresh");
    assert_string_equal(i4q_graph_new_name(&model.graph, "fresh"), "fresh_1");
    assert_string_equal(i4q_graph_new_name(&model.graph, "x"), "x_1");
    i4q_trial_end(&trial);
    assert_string_equal(i4q_graph_new_name(&model.graph, "fresh"), "fresh");
    assert_string_equal(i4q_graph_new_name(&model.graph, "x"), "x_1");
    assert_string_equal(i4q_graph_new_name(&model.graph, "x"), "x_2");
}

/* Also where they stop half way. */
static size_t upgrade_and_lay_out(int64_t version)
{
    static const char *const external[] = {"auto", "inline", "side.bin"};
    struct i4q_trial trial;
    struct i4q_layout layout;
    struct i4q_error error = {0};
    const struct i4q_upgrade *upgrades = NULL;
    i4q_trial_begin(&trial, &model);
    bool ok = i4q_opset_upgrade(&model, version, &upgrades, &error) &&
              i4q_layout_make(&model, "out.onnx", external[version % 3], &layout, &error);
    i4q_trial_end(&trial);
    return ok && upgrades;
}

static void upgrades_and_layouts_are_undone(void **state)
{
    glob_t paths;
    size_t upgraded = 0;
    assert_int_equal(glob(TESTS "/fuzz/corpus/onnx/*", 0, NULL, &paths), 0);
    assert_int_equal(glob(TESTS "/data/*.onnx", GLOB_APPEND, NULL, &paths), 0);
    for (size_t i = 0; i < paths.gl_pathc; i++) {
        bool loaded = load(paths.gl_pathv[i]);
        for (int64_t version = 8; loaded && version <= I4Q_OPSET_MAX; version++) {
            upgraded += upgrade_and_lay_out(version);
            assert_as_before();
        }
        teardown(state);
    }
    globfree(&paths);
    assert_true(upgraded > 100);
}

/* Weights that are large enough for a file of their own, and of which every other one is in one. */
static void data_goes_back_where_it_was(void **state)
{
    static uint8_t data[5000];
    Onnx__GraphProto *graph = model.proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        graph->initializer[i]->raw_data = (ProtobufCBinaryData){sizeof data, data};
        graph->initializer[i]->has_data_location = i % 2;
        graph->initializer[i]->data_location =
            i % 2 ? ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL : ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    }
    free(before);
    before = pack(&size);
    for (int64_t version = 18; version < 21; version++) { /* auto, inline, and a name */
        assert_true(upgrade_and_lay_out(version));
        assert_as_before();
    }
}

/* Each try sees the model as it was loaded, so each comes to the same. */
static void tries_do_not_add_up(void **state)
{
    size_t first = 0;
    for (int i = 0; i < 3; i++) {
        struct i4q_trial trial;
        size_t bytes;
        i4q_trial_begin(&trial, &model);
        edit_the_graph();
        free(pack(&bytes));
        i4q_trial_end(&trial);
        first = i ? first : bytes;
        assert_int_equal(bytes, first);
    }
    edit_the_graph(); /* in earnest */
    size_t bytes;
    free(pack(&bytes));
    assert_int_equal(bytes, first);
}

static void limits_hold_in_trials_too(void **state)
{
    struct i4q_trial trial;
    i4q_trial_begin(&trial, &model);
    assert_null(i4q_arena_alloc(&model.arena, trial.arena.limit, 1));
    i4q_trial_end(&trial);
    assert_as_before();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(edits_are_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_free_again, setup, teardown),
        cmocka_unit_test(upgrades_and_layouts_are_undone),
        cmocka_unit_test_setup_teardown(data_goes_back_where_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(tries_do_not_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_hold_in_trials_too, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

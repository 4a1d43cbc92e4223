// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/names.h"

struct fixture {
    struct i4q_arena arena;
};

static int setup(void **state)
{
    static struct fixture fixture;
    i4q_arena_init(&fixture.arena, SIZE_MAX / 2);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    i4q_arena_free(&((struct fixture *)*state)->arena);
    return 0;
}

static void assert_alias(void **state, const char *node, const char *weight, const char *expected,
                         bool wanted)
{
    struct fixture *fixture = *state;
    struct i4q_names names;
    bool found = false;
    assert_true(i4q_names_make(&fixture->arena, node, weight, &names));
    for (int a = 0; a < I4Q_ALIASES; a++)
        found |= names.alias[a] && strcmp(names.alias[a], expected) == 0;
    if (found != wanted)
        fail_msg("'%s' %s an alias of node '%s', weight '%s'", expected, found ? "is" : "is not", node,
                 weight);
}

static void module_follows_from_the_node(void **state)
{
    static const char *const cases[][2] = {
        {"/model.0/conv/Conv", "model.0.conv"},
        {"/model.2/m.0/cv1/conv/Conv", "model.2.m.0.cv1.conv"},
        {"/model.8/m/m.0/cv1/cv1.0/conv/Conv", "model.8.m.0.cv1.0.conv"},
        {"/model.23/one2one_cv3.0/one2one_cv3.0.0/one2one_cv3.0.0.0/conv/Conv",
         "model.23.one2one_cv3.0.0.0.conv"},
        {"/model.23/one2one_cv2.0/one2one_cv2.0.2/Conv", "model.23.one2one_cv2.0.2"},
        {"/backbone/stage2/stage2.0/branch1/branch1.2/Conv_1", "backbone.stage2.0.branch1.2"},
        {"/m/model/Conv", "m.model"}, /* begins with its parent, but does not repeat it */
        {"/m/m./Conv", "m.m."},       /* so does this: nothing follows the dot */
        {"/m/m.0/m/m.0/Conv", "m.0.m.0"},
        {"backbone/conv/Conv", "backbone.conv"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_alias(state, cases[i][0], "onnx::Conv_123", cases[i][1], true);
        char with_weight[128];
        snprintf(with_weight, sizeof with_weight, "%s.weight", cases[i][1]);
        assert_alias(state, cases[i][0], "", with_weight, true);
    }
}

static void module_follows_from_the_weight(void **state)
{
    assert_alias(state, "Conv_0", "model.0.conv.weight", "model.0.conv", true);
    assert_alias(state, "Conv_0", "model.0.conv.weight", "model.0.conv.weight", true);
    assert_alias(state, "Conv_0", "model.0.conv.weight", "Conv_0", true);
    assert_alias(state, "Conv_0", ".weight", "", false);
    assert_alias(state, NULL, NULL, "", false);
}

static void names_without_path_have_no_module(void **state)
{
    struct fixture *fixture = *state;
    static const char *const nodes[] = {"Conv_0", "/Conv", "model.0.conv", ""};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        struct i4q_names names;
        assert_true(i4q_names_make(&fixture->arena, nodes[i], "onnx::Conv_9", &names));
        assert_null(names.alias[I4Q_ALIAS_MODULE]);
        assert_null(names.alias[I4Q_ALIAS_MODULE_WEIGHT]);
        assert_null(names.alias[I4Q_ALIAS_WEIGHT_MODULE]);
        assert_string_equal(names.alias[I4Q_ALIAS_WEIGHT], "onnx::Conv_9");
    }
}

static void no_memory_is_told(void **state)
{
    struct i4q_arena none;
    struct i4q_names names;
    struct i4q_name_index index;
    i4q_arena_init(&none, 0);
    assert_false(i4q_names_make(&none, "/a/Conv", NULL, &names));
    assert_false(i4q_names_make(&none, NULL, "a.weight", &names));
    assert_true(i4q_names_make(&((struct fixture *)*state)->arena, "/a/Conv", NULL, &names));
    assert_false(i4q_name_index_make(&none, &names, 1, &index));
    i4q_arena_free(&none);
}

static void index_has_each_conv_once(void **state)
{
    struct fixture *fixture = *state;
    struct i4q_names names[2];
    struct i4q_name_index index;
    /* node and weight lead to the same module name */
    assert_true(i4q_names_make(&fixture->arena, "/a/Conv", "a.weight", &names[0]));
    assert_true(i4q_names_make(&fixture->arena, "/b/Conv", "a.weight", &names[1]));
    assert_true(i4q_name_index_make(&fixture->arena, names, 2, &index));
    const struct i4q_name_hit *hit = i4q_name_index_find(&index, "a");
    assert_non_null(hit);
    assert_int_equal(hit->conv, 0);
    assert_int_equal(hit->next->conv, 1);
    assert_null(hit->next->next);
    assert_null(i4q_name_index_find(&index, "b")->next);
    assert_null(i4q_name_index_find(&index, "c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(module_follows_from_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(module_follows_from_the_weight, setup, teardown),
        cmocka_unit_test_setup_teardown(names_without_path_have_no_module, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(index_has_each_conv_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/edit.h"

static struct i4q_model model;

static int setup(void **state)
{
    (void)state;
    i4q_arena_init(&model.arena, SIZE_MAX / 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    i4q_arena_free(&model.arena);
    return 0;
}

static void attributes_come_and_go(void **state)
{
    (void)state;
    const char *inputs[] = {"x", "w"}, *outputs[] = {"y"};
    Onnx__NodeProto *node = i4q_edit_node(&model, "Conv", "c", inputs, 2, outputs, 1);
    assert_true(i4q_edit_add_int(&model, node, "axis", 0));
    assert_true(i4q_edit_add_string(&model, node, "mode", "linear"));
    assert_int_equal(node->n_attribute, 2);
    const Onnx__AttributeProto *axis = i4q_node_attribute(node, "axis");
    assert_true(axis->has_i && axis->i == 0 && axis->has_type); /* a 0 is written too */
    i4q_edit_remove_attribute(node, axis);
    assert_int_equal(node->n_attribute, 1);
    assert_null(i4q_node_attribute(node, "axis"));
    assert_memory_equal(i4q_node_attribute(node, "mode")->s.data, "linear", 6);
}

static void inputs_are_filled_up(void **state)
{
    (void)state;
    const char *inputs[] = {"x"};
    Onnx__NodeProto *node = i4q_edit_node(&model, "Resize", "r", inputs, 1, NULL, 0);
    assert_true(i4q_edit_set_input(&model, node, 3, "sizes"));
    assert_int_equal(node->n_input, 4);
    assert_string_equal(node->input[0], "x");
    assert_string_equal(node->input[1], "");
    assert_string_equal(node->input[2], "");
    assert_string_equal(node->input[3], "sizes");
    assert_true(i4q_edit_set_input(&model, node, 0, "z"));
    assert_string_equal(node->input[0], "z");
    assert_int_equal(node->n_input, 4);
}

static void lists_grow(void **state)
{
    (void)state;
    struct i4q_list list = {0};
    static int items[100];
    for (size_t i = 0; i < 100; i++)
        assert_true(i4q_list_add(&model.arena, &list, &items[i]));
    assert_int_equal(list.count, 100);
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(list.items[i], &items[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(attributes_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(inputs_are_filled_up, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_grow, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

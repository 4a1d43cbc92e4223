// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "inspect/differences.h"

static void kinds_are_counted(void **state)
{
    (void)state;
    struct i4q_arena arena;
    struct i4q_differences differences;
    i4q_arena_init(&arena, SIZE_MAX);
    i4q_differences_begin(&differences, &arena);
    static const char *const kinds[] = {"biases changed", "opset", "biases changed"};
    for (size_t i = 0; i < 3; i++) {
        char *kind = i4q_arena_format(&arena, "%s", kinds[i]); /* the same words, elsewhere */
        assert_non_null(kind);
        assert_true(i4q_differences_add(&differences, &arena, kind, kinds[i]));
    }
    assert_int_equal(differences.texts.count, 3);
    assert_string_equal(differences.texts.items[1], "opset");
    const struct i4q_difference_kind *biases = i4q_difference_kind(&differences, 0);
    assert_ptr_equal(biases, i4q_difference_kind(&differences, 2));
    assert_string_equal(biases->text, "biases changed");
    assert_int_equal(biases->count, 2);
    assert_int_equal(biases->first, 0);
    assert_int_equal(i4q_difference_kind(&differences, 1)->count, 1);
    assert_int_equal(i4q_difference_kind(&differences, 1)->first, 1);
    i4q_arena_free(&arena);
}

static void no_memory_is_told(void **state)
{
    (void)state;
    struct i4q_arena arena;
    struct i4q_differences differences;
    i4q_arena_init(&arena, 0);
    i4q_differences_begin(&differences, &arena);
    assert_false(i4q_differences_add(&differences, &arena, "opset", "opset 13 -> 21"));
    i4q_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_counted),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "int4q/table.h"

static void finds_what_was_put_in(void **state)
{
    (void)state;
    struct i4q_arena arena;
    struct i4q_table table;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    i4q_table_init(&table, &arena);
    assert_null(i4q_table_get(&table, "nothing yet"));
    for (uintptr_t i = 1; i <= 10000; i++) {
        void **slot = i4q_table_at(&table, i4q_arena_format(&arena, "name %zu", (size_t)i));
        assert_non_null(slot);
        assert_null(*slot);
        *slot = (void *)i;
    }
    assert_int_equal(table.count, 10000);
    for (uintptr_t i = 1; i <= 10000; i++)
        assert_ptr_equal(i4q_table_get(&table, i4q_arena_format(&arena, "name %zu", (size_t)i)), (void *)i);
    assert_null(i4q_table_get(&table, "name 0"));
    assert_null(i4q_table_get(&table, ""));
    i4q_arena_free(&arena);
}

static void a_key_is_put_in_once(void **state)
{
    (void)state;
    struct i4q_arena arena;
    struct i4q_table table;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    i4q_table_init(&table, &arena);
    *i4q_table_at(&table, "") = (void *)1;
    assert_ptr_equal(*i4q_table_at(&table, ""), (void *)1);
    assert_int_equal(table.count, 1);
    i4q_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_in),
        cmocka_unit_test(a_key_is_put_in_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

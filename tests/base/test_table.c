// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/table.h"

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

static void hash_is_siphash(void **state)
{
    (void)state;
    /* the key 00 01 ... 0f of the authors' test vectors */
    static const uint64_t seed[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    assert_int_equal(i4q_table_hash("", seed), 0xabac0158050fc4dc);
    assert_int_equal(i4q_table_hash("12345678", seed), 0x11a8ebb5cd0da9ce);
    assert_int_equal(i4q_table_hash("/model.0/conv/Conv", seed), 0x82e2a4b3332feaf2);
}

/* Names that meet in one slot under one seed do not under another. */
static void collisions_do_not_last(void **state)
{
    enum { SLOTS = 256, TRIES = 100000 };
    (void)state;
    static const uint64_t one[2] = {1, 2}, other[2] = {3, 4};
    static bool used[SLOTS];
    size_t found = 0, slots = 0;
    for (int i = 0; i < TRIES; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        if (i4q_table_hash(name, one) % SLOTS)
            continue;
        bool *slot = &used[i4q_table_hash(name, other) % SLOTS];
        slots += !*slot;
        *slot = true;
        found++;
    }
    assert_true(found > SLOTS);
    assert_true(slots > SLOTS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_in),
        cmocka_unit_test(a_key_is_put_in_once),
        cmocka_unit_test(hash_is_siphash),
        cmocka_unit_test(collisions_do_not_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

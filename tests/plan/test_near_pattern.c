// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/near_pattern.h"

static const char *const nodes[] = {"/model.2/cv1/conv/Conv", "/model.2/cv2/conv/Conv", "/model.23/dfl/Conv"};

enum { CONVS = sizeof nodes / sizeof *nodes };

static void what_may_have_been_meant(void **state)
{
    static const struct {
        const char *pattern, *near;
        size_t count;
    } cases[] = {
        {"model.2", "model.2.*", 2},
        {"/model.2", "/model.2/*", 2},
        {"model.23", "model.23.*", 1},
        {"model.2.", "model.2.*", 2},
        {"model.2.cv1", "model.2.cv1.*", 1},
        {"model.2.cv1.com", "model.2.cv1.conv", 1},
        {"backbone", NULL, 0},
        {"", NULL, 0},
        {"*", NULL, 0},
    };
    struct i4q_arena arena;
    struct i4q_names names[CONVS];
    struct i4q_name_index index;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    for (size_t i = 0; i < CONVS; i++)
        assert_true(i4q_names_make(&arena, nodes[i], NULL, &names[i]));
    assert_true(i4q_name_index_make(&arena, names, CONVS, &index));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count;
        const char *near = i4q_near_pattern(&index, cases[i].pattern, &count);
        assert_int_equal(near != NULL, cases[i].near != NULL);
        if (near)
            assert_string_equal(near, cases[i].near);
        assert_int_equal(count, cases[i].count);
    }
    i4q_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_have_been_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/patterns.h"

static const char *const nodes[] = {"/a/conv/Conv", "/b/conv/Conv", "/b/x/Conv", "/weird[1]/Conv"};

enum { CONVS = sizeof nodes / sizeof *nodes };

struct fixture {
    struct i4q_arena arena;
    struct i4q_names names[CONVS];
    struct i4q_name_index index;
    struct i4q_patterns include, exclude, unmatched;
    struct i4q_error error;
    enum i4q_choice choices[CONVS];
    bool exact[CONVS];
};

static int setup(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    i4q_arena_init(&fixture.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < CONVS; i++)
        if (!i4q_names_make(&fixture.arena, nodes[i], NULL, &fixture.names[i]))
            return -1;
    *state = &fixture;
    return !i4q_name_index_make(&fixture.arena, fixture.names, CONVS, &fixture.index);
}

static int teardown(void **state)
{
    i4q_arena_free(&((struct fixture *)*state)->arena);
    return 0;
}

static void add(struct fixture *fixture, struct i4q_patterns *patterns, const char *text)
{
    assert_true(i4q_patterns_add(&fixture->arena, patterns, text));
}

static bool select_convs(struct fixture *fixture, bool only_included)
{
    return i4q_select(&fixture->index, &fixture->include, only_included, &fixture->exclude, fixture->choices,
                      fixture->exact, &fixture->unmatched, &fixture->error);
}

/* The choices as letters: + chosen, - excluded, . not included; upper case where a pattern is the very name.
 */
static const char *choose(struct fixture *fixture)
{
    static char letters[CONVS + 1];
    assert_true(select_convs(fixture, fixture->include.count > 0));
    for (size_t i = 0; i < CONVS; i++)
        letters[i] = fixture->exact[i] ? 'E' : "+-."[fixture->choices[i]];
    return letters;
}

static void everything_without_patterns(void **state)
{
    assert_string_equal(choose(*state), "++++");
}

static void exclude_wins(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, &fixture->include, "/b/*");
    add(fixture, &fixture->exclude, "b.x");
    assert_string_equal(choose(fixture), ".+-.");
    assert_int_equal(fixture->unmatched.count, 0);
}

static void exact_name_before_glob(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, &fixture->include, "/weird[1]/Conv"); /* as a glob it would match /weird1/Conv only */
    assert_string_equal(choose(fixture), "...E");
}

static void exclude_keeps_what_include_named(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, &fixture->include, "a.conv");
    add(fixture, &fixture->include, "a.conv"); /* twice is no harm */
    add(fixture, &fixture->exclude, "*");
    choose(fixture);
    for (size_t i = 0; i < CONVS; i++)
        assert_int_equal(fixture->choices[i], I4Q_EXCLUDED);
    assert_true(fixture->exact[0]); /* still the user's very name: only `choices` says what happens */
}

static void only_included_without_patterns(void **state)
{
    struct fixture *fixture = *state; /* an empty --include-from */
    assert_true(select_convs(fixture, true));
    for (size_t i = 0; i < CONVS; i++)
        assert_int_equal(fixture->choices[i], I4Q_NOT_INCLUDED);
}

static void many_patterns(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 1000; i++)
        add(fixture, &fixture->exclude, i4q_arena_format(&fixture->arena, "none.%d", i));
    assert_string_equal(choose(fixture), "++++");
    assert_int_equal(fixture->unmatched.count, 1000);
    assert_string_equal(fixture->unmatched.items[999], "none.999");
}

static void same_pattern_once(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100000; i++)
        add(fixture, &fixture->exclude, i % 2 ? "none" : "/b/*");
    add(fixture, &fixture->include, "/b/*"); /* the lists have nothing to do with each other */
    assert_string_equal(choose(fixture), ".--.");
    assert_int_equal(fixture->unmatched.count, 1);
}

static char *text_of(struct fixture *fixture, char c, size_t length)
{
    char *text = i4q_arena_alloc(&fixture->arena, length + 1, 1);
    assert_non_null(text);
    return memset(text, c, length);
}

/* A name may have any length. */
static void long_globs_are_refused(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, &fixture->include, text_of(fixture, 'a', 5000));
    add(fixture, &fixture->exclude, text_of(fixture, '?', 1024));
    assert_true(select_convs(fixture, false));
    add(fixture, &fixture->exclude, text_of(fixture, '*', 1025));
    assert_false(select_convs(fixture, false));
    assert_int_equal(fixture->error.code, I4Q_USAGE);
    assert_non_null(strstr(fixture->error.message, "has 1025 bytes, a glob at most 1024"));
}

/* 500 different globs of 1,000 bytes against 100 kB of names: 2^35 steps and more; 100 are fine. */
static void too_many_globs_are_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->names[0].alias[I4Q_ALIAS_NODE] = text_of(fixture, 'x', 100000);
    for (int i = 0; i < 500; i++) {
        if (i == 100)
            assert_true(select_convs(fixture, false));
        add(fixture, &fixture->exclude,
            i4q_arena_format(&fixture->arena, "%d%s?", i, text_of(fixture, 'x', 1000)));
    }
    assert_false(select_convs(fixture, false));
    assert_int_equal(fixture->error.code, I4Q_USAGE);
    assert_non_null(strstr(fixture->error.message, "too many globs: with names of 100"));
}

static void misses_are_told(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, &fixture->include, "/a/conv/Conv");
    add(fixture, &fixture->include, "/c/*");
    add(fixture, &fixture->exclude, "conv");
    assert_string_equal(choose(fixture), "E...");
    assert_int_equal(fixture->unmatched.count, 2);
    assert_string_equal(fixture->unmatched.items[0], "/c/*");
    assert_string_equal(fixture->unmatched.items[1], "conv");
}

static void pattern_files(void **state)
{
    struct fixture *fixture = *state;
    struct i4q_error error = {0};
    assert_true(i4q_patterns_add_lines(&fixture->arena, &fixture->include,
                                       VIEW("# heads\r\n\r\n  /a/*\t\r\n/b/x/Conv\n   # more\nlast"),
                                       &error));
    assert_int_equal(fixture->include.count, 3);
    assert_string_equal(fixture->include.items[0], "/a/*");
    assert_string_equal(fixture->include.items[1], "/b/x/Conv");
    assert_string_equal(fixture->include.items[2], "last");
    assert_true(i4q_patterns_add_lines(&fixture->arena, &fixture->include, (struct i4q_view){0}, &error));
    assert_false(i4q_patterns_add_lines(&fixture->arena, &fixture->include, VIEW("a\nb\0c\n"), &error));
    assert_failed(error, I4Q_USAGE, "line 2 has a NUL byte");
    assert_true(i4q_patterns_add_lines(&fixture->arena, &fixture->include, VIEW("\n \t\n#\n\r\n"), &error));
    assert_int_equal(fixture->include.count, 4); /* the a before the NUL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_without_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(exclude_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(exact_name_before_glob, setup, teardown),
        cmocka_unit_test_setup_teardown(exclude_keeps_what_include_named, setup, teardown),
        cmocka_unit_test_setup_teardown(only_included_without_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(many_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(same_pattern_once, setup, teardown),
        cmocka_unit_test_setup_teardown(long_globs_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_globs_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(misses_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(pattern_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

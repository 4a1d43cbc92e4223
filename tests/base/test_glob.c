// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/glob.h"

static bool matches(const char *pattern, const char *text)
{
    struct i4q_glob glob;
    assert_true(i4q_glob_compile(pattern, &glob));
    return i4q_glob_match(&glob, text);
}

static void globs(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"*", "", true},
        {"*", "/a/b", true},
        {"/model.?/*/Conv", "/model.2/m.0/cv1/conv/Conv", true},
        {"/model.?/*/Conv", "/model.22/m.0/Conv", false},
        {"?", "", false},
        {"a?c", "a/c", true},
        {"model.[0-3].conv", "model.2.conv", true},
        {"model.[0-3].conv", "model.4.conv", false},
        {"model.[!0-3].conv", "model.4.conv", true},
        {"[]x]", "]", true},
        {"[a-]", "-", true},
        {"[a", "[a", true},
        {"[a", "a", false},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"[\\]]", "]", true},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-c-b", false},
        {"", "", true},
        {"", "a", false},
        {"[a\\-c]", "b", false}, /* an escaped '-' is no range */
        {"[a\\-c]", "-", true},
        {"[!]]", "]", false},
        {"[]-a]", "^", true},
        {"[^a]", "b", true},
        {"[[:digit:]]", "7", true},
        {"[[:digit:]", "[:", true}, /* the class closes nothing: a '[', and a set of ':' and letters */
        {"[[:alpha:][:digit:]_]", "q", true},
        {"[[:alpha:][:digit:]_]", "_", true},
        {"[[:alpha:][:digit:]_]", "-", false},
        {"*.[0-9]", "model.10", false},
        {"*.cv?.*", "model.8.m.0.cv1.conv", true},
        {"[!a]", "/", true},
        {"*\xff", "x\xff", true}, /* not UTF-8 */
        {"[\x80-\xff]", "\xfe", true},
        {"?", "\xc3\xa9", false}, /* two bytes */
        {"a\\", "a\\", true},     /* nothing to escape */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (matches(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].text);
}

static void plain_texts(void **state)
{
    (void)state;
    static const char *const plain[] = {"", "/model.0/conv/Conv", "]!^-"}, *const globs[] = {"*", "a?", "[",
                                                                                             "a\\"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_true(i4q_glob_is_plain(plain[i]));
    for (size_t i = 0; i < sizeof globs / sizeof *globs; i++)
        assert_false(i4q_glob_is_plain(globs[i]));
}

/* The pattern `unit` until it has `length` bytes. */
static const char *repeat(char *pattern, const char *unit, size_t length)
{
    for (size_t i = 0; i < length; i++)
        pattern[i] = unit[i % strlen(unit)];
    pattern[length] = '\0';
    return pattern;
}

static void length_is_bounded(void **state)
{
    (void)state;
    struct i4q_glob glob;
    char pattern[I4Q_GLOB_MAX + 2];
    assert_true(i4q_glob_compile(repeat(pattern, "[a]", I4Q_GLOB_MAX), &glob));
    assert_false(i4q_glob_compile(repeat(pattern, "a", I4Q_GLOB_MAX + 1), &glob));
}

/* Each takes at most 2^26 steps. A matcher that goes back into every star would not end, and one that
 * searches what stands in brackets at every byte takes a hundred times as long. */
static void no_pattern_explodes(void **state)
{
    (void)state;
    enum { TEXT = 1 << 16, UNITS = I4Q_GLOB_MAX - 8 };
    static const struct {
        const char *begin, *unit, *end;
    } cases[] = {{"*", "a", "b"},   {"", "*a", "b"},          {"*", "[a]", "b"},
                 {"*[", "b", "]b"}, {"*", "[", "b"},          {"*", "[:", "b"},
                 {"*", "[ab", "b"}, {"*", "[[:alpha:]", "b"}, {"*[", "\\a", "b"}};
    char pattern[I4Q_GLOB_MAX + 1], units[UNITS + 1], text[TEXT + 1];
    repeat(text, "a", TEXT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(pattern, sizeof pattern, "%s%s%s", cases[i].begin, repeat(units, cases[i].unit, UNITS),
                 cases[i].end);
        assert_false(matches(pattern, text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs),
        cmocka_unit_test(plain_texts),
        cmocka_unit_test(length_is_bounded),
        cmocka_unit_test(no_pattern_explodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

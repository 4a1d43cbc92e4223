// SPDX-License-Identifier: Apache-2.0
/* Files of patterns against some names: the choice is what the documented rules give, globs match as
 * fnmatch(3) has them, those without brackets and escapes as a matcher of ten lines does too, and none takes
 * long. */
#include "fuzz.h"

#include "base/glob.h"
#include "plan/patterns.h"

#include <fnmatch.h>
#include <string.h>
#include <time.h>

/* Far more than pattern times text steps take on inputs of this size. */
static const double SECONDS = 2;

static const char *const convs[][2] = {
    {"/model.0/conv/Conv", "model.0.conv.weight"},
    {"/model.8/m/m.0/cv1/cv1.0/conv/Conv", "model.8.m.0.cv1.0.conv.weight"},
    {"a[b]*c?", "back\\slash"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "\xff\xfe"},
};

enum { CONVS = sizeof convs / sizeof *convs };

struct fixture {
    struct i4q_arena arena;
    struct i4q_names names[CONVS];
    struct i4q_name_index index;
    struct i4q_patterns patterns;
};

/* ---- the rules */

/* A star that fails takes one character more; an earlier one need not, since the text between was found at
 * its first place. */
static bool simple_match(const char *pattern, const char *text)
{
    const char *star = NULL, *from = text;
    while (*text || *pattern == '*') {
        if (*pattern == '*') {
            star = pattern++;
            from = text;
        } else if (*pattern && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    return !*pattern;
}

/* fnmatch(3) leaves open what a '\' at the end, collating elements and a class as the end of a range are. */
static bool is_defined(const char *pattern)
{
    size_t length = strlen(pattern);
    return !(length && pattern[length - 1] == '\\') && !strstr(pattern, "[.") && !strstr(pattern, "[=") &&
           !strchr(pattern, '-') && !strstr(pattern, "[:");
}

static bool match(const char *pattern, const char *text)
{
    struct i4q_glob glob;
    if (!i4q_glob_compile(pattern, &glob)) {
        REQUIRE(strlen(pattern) > I4Q_GLOB_MAX);
        return false;
    }
    clock_t start = clock();
    bool result = i4q_glob_match(&glob, text);
    REQUIRE((double)(clock() - start) / CLOCKS_PER_SEC < SECONDS);
    REQUIRE(strpbrk(pattern, "[\\") || result == simple_match(pattern, text));
    REQUIRE(!is_defined(pattern) || result == (fnmatch(pattern, text, 0) == 0));
    return result;
}

static bool has_name(const struct i4q_names *names, const char *name)
{
    for (int a = 0; a < I4Q_ALIASES; a++)
        if (names->alias[a] && strcmp(names->alias[a], name) == 0)
            return true;
    return false;
}

static bool matches_some(const struct i4q_names *names, const char *pattern)
{
    bool result = false;
    for (int a = 0; a < I4Q_ALIASES; a++)
        result |= names->alias[a] && match(pattern, names->alias[a]);
    return result;
}

/* Whether the pattern selects the Conv: as a plain name where there is one, else as a glob. */
static bool selects(const struct fixture *fixture, const char *pattern, size_t conv)
{
    for (size_t i = 0; i < CONVS; i++)
        if (has_name(&fixture->names[i], pattern))
            return has_name(&fixture->names[conv], pattern);
    return matches_some(&fixture->names[conv], pattern);
}

/* ---- the runs */

static void check_lines(const struct i4q_patterns *patterns, struct i4q_view text)
{
    size_t bytes = 0;
    for (size_t i = 0; i < patterns->count; i++) {
        const char *pattern = patterns->items[i];
        size_t length = strlen(pattern);
        REQUIRE(length && *pattern != '#' && !strchr(pattern, '\n'));
        REQUIRE(!strchr(" \t\r", *pattern) && !strchr(" \t\r", pattern[length - 1]));
        bytes += length + 1;
    }
    REQUIRE(bytes <= text.size + 1);
}

/* Names of these few bytes never make too many globs. */
static bool has_long(const struct i4q_patterns *patterns)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (strlen(patterns->items[i]) > I4Q_GLOB_MAX)
            return true;
    return false;
}

/* The first half includes, the second excludes. */
static void check_selection(struct fixture *fixture)
{
    enum i4q_choice choices[CONVS];
    bool exact[CONVS];
    struct i4q_error error = {0};
    size_t half = fixture->patterns.count / 2;
    struct i4q_patterns include = {.items = fixture->patterns.items, .count = half}, unmatched = {0};
    struct i4q_patterns exclude = {.items = half ? fixture->patterns.items + half : fixture->patterns.items,
                                   .count = fixture->patterns.count - half};
    if (!i4q_select(&fixture->index, &include, true, &exclude, choices, exact, &unmatched, &error)) {
        REQUIRE_OK(error.code == I4Q_USAGE && has_long(&fixture->patterns), error);
        return;
    }
    REQUIRE(unmatched.count <= fixture->patterns.count);
    for (size_t conv = 0; conv < CONVS; conv++) {
        bool included = false, excluded = false, named = false;
        for (size_t i = 0; i < include.count; i++) {
            included |= selects(fixture, include.items[i], conv);
            named |= has_name(&fixture->names[conv], include.items[i]);
        }
        for (size_t i = 0; i < exclude.count; i++)
            excluded |= selects(fixture, exclude.items[i], conv);
        REQUIRE(choices[conv] == (excluded ? I4Q_EXCLUDED : included ? I4Q_CHOSEN : I4Q_NOT_INCLUDED));
        REQUIRE(exact[conv] == named);
    }
}

/* Neighbours as pattern and text: names that the fuzzer makes too. */
static void check_globs(const struct i4q_patterns *patterns)
{
    for (size_t i = 0; i + 1 < patterns->count; i++)
        match(patterns->items[i], patterns->items[i + 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture fixture = {0};
    struct i4q_view text = {data, size};
    struct i4q_error error = {0};
    i4q_arena_init(&fixture.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < CONVS; i++)
        REQUIRE(i4q_names_make(&fixture.arena, convs[i][0], convs[i][1], &fixture.names[i]));
    REQUIRE(i4q_name_index_make(&fixture.arena, fixture.names, CONVS, &fixture.index));
    if (i4q_patterns_add_lines(&fixture.arena, &fixture.patterns, text, &error)) {
        check_lines(&fixture.patterns, text);
        check_selection(&fixture);
        check_globs(&fixture.patterns);
    } else {
        REQUIRE_OK(error.code == I4Q_USAGE && memchr(data, 0, size), error);
    }
    i4q_arena_free(&fixture.arena);
    return 0;
}

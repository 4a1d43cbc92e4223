// SPDX-License-Identifier: Apache-2.0
#include "plan/patterns.h"

#include "base/utf8.h"

#include "base/checked.h"
#include "base/glob.h"

#include <string.h>

bool i4q_patterns_add(struct i4q_arena *arena, struct i4q_patterns *patterns, const char *text)
{
    if (patterns->count == patterns->capacity) {
        size_t capacity = patterns->capacity ? patterns->capacity * 2 : 8;
        const char **items = i4q_arena_alloc(arena, capacity, sizeof *items);
        if (!items)
            return false;
        if (patterns->count)
            memcpy(items, patterns->items, patterns->count * sizeof *items);
        patterns->items = items;
        patterns->capacity = capacity;
    }
    patterns->items[patterns->count++] = text;
    return true;
}

/* ---- pattern files */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Adds the pattern on a line, without the blanks around it; a blank line or a comment has none. */
static bool add_line(struct i4q_arena *arena, struct i4q_patterns *patterns, const char *line,
                     const char *end, struct i4q_error *error)
{
    while (line < end && is_blank(*line))
        line++;
    while (line < end && is_blank(end[-1]))
        end--;
    if (line == end || *line == '#')
        return true;
    size_t length = (size_t)(end - line);
    char *text = i4q_arena_alloc(arena, length + 1, 1);
    if (!text || !i4q_patterns_add(arena, patterns, text))
        return i4q_fail_memory(error);
    memcpy(text, line, length);
    return true;
}

bool i4q_patterns_add_lines(struct i4q_arena *arena, struct i4q_patterns *patterns, struct i4q_view text,
                            struct i4q_error *error)
{
    text = i4q_utf8_without_mark(text);
    const char *at = text.size ? (const char *)text.data : "", *end = at + text.size;
    for (size_t number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *line_end = newline ? newline : end;
        if (memchr(at, 0, (size_t)(line_end - at)))
            return i4q_fail(error, I4Q_USAGE, "line %zu has a NUL byte", number);
        if (!add_line(arena, patterns, at, line_end, error))
            return false;
        at = newline ? newline + 1 : end;
    }
    return true;
}

/* ---- matching */

/* Far more than anyone means: a thousand globs of 30 bytes against five names each of a thousand Convs. */
static const size_t MOST_STEPS = (size_t)1 << 34;

struct selector {
    const struct i4q_name_index *index;
    size_t name_bytes; /* of all names of all Convs */
    size_t steps;      /* pattern times text, of all globs so far */
    enum i4q_choice *choices;
    bool *exact;
    struct i4q_patterns *unmatched;
    struct i4q_error *error;
};

typedef void hit_fn(struct selector *selector, size_t conv, bool exact);

static void include(struct selector *selector, size_t conv, bool exact)
{
    selector->choices[conv] = I4Q_CHOSEN;
    selector->exact[conv] |= exact;
}

static void exclude(struct selector *selector, size_t conv, bool exact)
{
    selector->choices[conv] = I4Q_EXCLUDED;
}

static size_t count_name_bytes(const struct i4q_name_index *index)
{
    size_t bytes = 0;
    for (size_t i = 0; i < index->count; i++)
        for (int a = 0; a < I4Q_ALIASES; a++)
            bytes += index->names[i].alias[a] ? strlen(index->names[i].alias[a]) : 0;
    return bytes;
}

static bool matches_any(const struct i4q_glob *glob, const struct i4q_names *names)
{
    for (int a = 0; a < I4Q_ALIASES; a++)
        if (names->alias[a] && i4q_glob_match(glob, names->alias[a]))
            return true;
    return false;
}

static bool check_steps(struct selector *selector, const char *pattern)
{
    size_t steps;
    if (i4q_mul_size(strlen(pattern), selector->name_bytes, &steps) &&
        i4q_add_size(selector->steps, steps, &selector->steps) && selector->steps <= MOST_STEPS)
        return true;
    return i4q_fail(selector->error, I4Q_USAGE,
                    "too many globs: with names of %zu bytes they take more than %zu steps",
                    selector->name_bytes, MOST_STEPS);
}

static bool match_glob(struct selector *selector, const char *pattern, hit_fn *hit, bool *found)
{
    struct i4q_glob glob;
    if (!i4q_glob_compile(pattern, &glob))
        return i4q_fail(selector->error, I4Q_USAGE,
                        "the pattern '%.200s...' has %zu bytes, a glob at most %d", pattern, strlen(pattern),
                        I4Q_GLOB_MAX);
    if (!check_steps(selector, pattern))
        return false;
    for (size_t i = 0; i < selector->index->count; i++)
        if (matches_any(&glob, &selector->index->names[i])) {
            hit(selector, i, false);
            *found = true;
        }
    return true;
}

/* Calls `hit` for every Conv that the pattern matches. */
static bool match(struct selector *selector, const char *pattern, hit_fn *hit)
{
    const struct i4q_name_hit *exact = i4q_name_index_find(selector->index, pattern);
    bool found = exact != NULL;
    for (const struct i4q_name_hit *each = exact; each; each = each->next)
        hit(selector, each->conv, true);
    if (!found && !i4q_glob_is_plain(pattern) && !match_glob(selector, pattern, hit, &found))
        return false;
    return found || i4q_patterns_add(selector->index->arena, selector->unmatched, pattern) ||
           i4q_fail_memory(selector->error);
}

/* What stands in the list several times is held against the names once. */
static bool apply(struct selector *selector, const struct i4q_patterns *patterns, hit_fn *hit)
{
    struct i4q_table known;
    i4q_table_init(&known, selector->index->arena);
    for (size_t i = 0; i < patterns->count; i++) {
        void **slot = i4q_table_at(&known, patterns->items[i]);
        if (!slot)
            return i4q_fail_memory(selector->error);
        if (!*slot && !match(selector, patterns->items[i], hit))
            return false;
        *slot = (void *)1;
    }
    return true;
}

bool i4q_select(const struct i4q_name_index *index, const struct i4q_patterns *included, bool only_included,
                const struct i4q_patterns *excluded, enum i4q_choice *choices, bool *exact,
                struct i4q_patterns *unmatched, struct i4q_error *error)
{
    struct selector selector = {.index = index,
                                .name_bytes = count_name_bytes(index),
                                .choices = choices,
                                .exact = exact,
                                .unmatched = unmatched,
                                .error = error};
    for (size_t i = 0; i < index->count; i++) {
        choices[i] = only_included ? I4Q_NOT_INCLUDED : I4Q_CHOSEN;
        exact[i] = false;
    }
    /* Exclude comes last, so it wins. */
    return apply(&selector, included, include) && apply(&selector, excluded, exclude);
}

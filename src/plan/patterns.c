// SPDX-License-Identifier: Apache-2.0
#include "plan/patterns.h"

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

typedef void hit_fn(void *context, size_t conv, bool exact);

static bool matches_glob(const struct i4q_names *names, const char *pattern)
{
    for (int a = 0; a < I4Q_ALIASES; a++)
        if (names->alias[a] && i4q_glob_match(pattern, names->alias[a]))
            return true;
    return false;
}

/* Calls `hit` for every Conv that the pattern matches; tells whether there was one. */
static bool match(const struct i4q_name_index *index, const char *pattern, hit_fn *hit, void *context)
{
    const struct i4q_name_hit *exact = i4q_name_index_find(index, pattern);
    bool found = exact != NULL;
    for (const struct i4q_name_hit *each = exact; each; each = each->next)
        hit(context, each->conv, true);
    for (size_t i = 0; !exact && i < index->count; i++) {
        if (!matches_glob(&index->names[i], pattern))
            continue;
        hit(context, i, false);
        found = true;
    }
    return found;
}

struct choice {
    enum i4q_choice *choices;
    bool *exact;
};

static void include(void *context, size_t conv, bool exact)
{
    struct choice *choice = context;
    choice->choices[conv] = I4Q_CHOSEN;
    choice->exact[conv] |= exact;
}

static void exclude(void *context, size_t conv, bool exact)
{
    struct choice *choice = context;
    choice->choices[conv] = I4Q_EXCLUDED;
}

static bool apply(const struct i4q_name_index *index, const struct i4q_patterns *patterns, hit_fn *hit,
                  struct choice *choice, struct i4q_patterns *unmatched)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (!match(index, patterns->items[i], hit, choice) &&
            !i4q_patterns_add(index->arena, unmatched, patterns->items[i]))
            return false;
    return true;
}

bool i4q_select(const struct i4q_name_index *index, const struct i4q_patterns *included, bool only_included,
                const struct i4q_patterns *excluded, enum i4q_choice *choices, bool *exact,
                struct i4q_patterns *unmatched)
{
    struct choice choice = {choices, exact};
    for (size_t i = 0; i < index->count; i++) {
        choices[i] = only_included ? I4Q_NOT_INCLUDED : I4Q_CHOSEN;
        exact[i] = false;
    }
    /* Exclude comes last, so it wins. */
    return apply(index, included, include, &choice, unmatched) &&
           apply(index, excluded, exclude, &choice, unmatched);
}

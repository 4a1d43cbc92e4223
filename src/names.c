// SPDX-License-Identifier: Apache-2.0
#include "int4q/names.h"

#include <string.h>

static const char WEIGHT_SUFFIX[] = ".weight";

/* ---- aliases */

static bool ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), tail = strlen(suffix);
    return length > tail && strcmp(text + length - tail, suffix) == 0;
}

/* Whether the path component [a, a_end) is [b, b_end) followed by '.' and more: cv1.0 repeats cv1. */
static bool repeats(const char *a, const char *a_end, const char *b, const char *b_end)
{
    size_t length = (size_t)(b_end - b);
    return (size_t)(a_end - a) > length + 1 && memcmp(a, b, length) == 0 && a[length] == '.';
}

/* /model.8/m/m.0/cv1/cv1.0/conv/Conv → model.8.m.0.cv1.0.conv, written to `out`, which has room for all of
 * `node`. The last component is the operator. Leaves "" where the name is no path. */
static void write_module(const char *node, char *out)
{
    char *end = out, *previous = out; /* where the last component written ends and begins */
    const char *from = *node == '/' ? node + 1 : node;
    for (const char *slash; (slash = strchr(from, '/')); from = slash + 1) {
        bool replaces = end > previous && repeats(from, slash, previous, end);
        char *at = replaces ? previous : end;
        if (!replaces && end > out)
            *at++ = '.';
        memcpy(at, from, (size_t)(slash - from));
        previous = at;
        end = at + (slash - from);
    }
    *end = '\0';
}

static bool module_alias(struct i4q_arena *arena, const char *node, const char **module)
{
    char *text = i4q_arena_alloc(arena, strlen(node) + 1, 1);
    if (!text)
        return false;
    write_module(node, text);
    *module = *text ? text : NULL;
    return true;
}

bool i4q_names_make(struct i4q_arena *arena, const char *node, const char *weight, struct i4q_names *names)
{
    *names = (struct i4q_names){0};
    if (node && *node) {
        names->alias[0] = node;
        if (!module_alias(arena, node, &names->alias[3]))
            return false;
    }
    if (names->alias[3] &&
        !(names->alias[4] = i4q_arena_format(arena, "%s%s", names->alias[3], WEIGHT_SUFFIX)))
        return false;
    if (!weight || !*weight)
        return true;
    names->alias[1] = weight;
    if (!ends_with(weight, WEIGHT_SUFFIX))
        return true;
    int length = (int)(strlen(weight) - strlen(WEIGHT_SUFFIX));
    names->alias[2] = i4q_arena_format(arena, "%.*s", length, weight);
    return names->alias[2] != NULL;
}

/* ---- index */

static bool add_hit(struct i4q_name_index *index, const char *alias, size_t conv)
{
    struct i4q_name_hit **first = (struct i4q_name_hit **)i4q_table_at(&index->hits, alias);
    if (!first)
        return false;
    /* Two aliases of one Conv may be the same; its hit would be the newest, hence the first. */
    if (*first && (*first)->conv == conv)
        return true;
    struct i4q_name_hit *hit = i4q_arena_alloc(index->arena, 1, sizeof *hit);
    if (!hit)
        return false;
    *hit = (struct i4q_name_hit){conv, *first};
    *first = hit;
    return true;
}

bool i4q_name_index_make(struct i4q_arena *arena, const struct i4q_names *names, size_t count,
                         struct i4q_name_index *index)
{
    *index = (struct i4q_name_index){.arena = arena, .names = names, .count = count};
    i4q_table_init(&index->hits, arena);
    /* From the last to the first, since hits are put in front. */
    for (size_t i = count; i-- > 0;)
        for (int a = 0; a < I4Q_ALIASES; a++)
            if (names[i].alias[a] && !add_hit(index, names[i].alias[a], i))
                return false;
    return true;
}

const struct i4q_name_hit *i4q_name_index_find(const struct i4q_name_index *index, const char *name)
{
    return i4q_table_get(&index->hits, name);
}

/* ---- glob */

/* One character of a bracket expression, behind a `\` if there is one. */
static unsigned char bracket_char(const char **pattern)
{
    if (**pattern == '\\' && (*pattern)[1])
        ++*pattern;
    return (unsigned char)*(*pattern)++;
}

/* Matches [...] at `*pattern` against c and moves behind it. An unclosed '[' is left where it is. */
static bool match_bracket(const char **pattern, unsigned char c, bool *matched)
{
    const char *p = *pattern + 1;
    bool negated = *p == '!' || *p == '^', found = false;
    p += negated;
    for (bool first = true; *p && (*p != ']' || first); first = false) {
        unsigned char low = bracket_char(&p), high = low;
        if (p[0] == '-' && p[1] && p[1] != ']') {
            p++;
            high = bracket_char(&p);
        }
        found |= low <= c && c <= high;
    }
    if (*p != ']')
        return false;
    *pattern = p + 1;
    *matched = found != negated;
    return true;
}

/* Matches one pattern element other than '*' against c; moves behind it. */
static bool match_one(const char **pattern, char c)
{
    bool matched;
    if (**pattern == '?') {
        ++*pattern;
        return true;
    }
    if (**pattern == '[' && match_bracket(pattern, (unsigned char)c, &matched))
        return matched;
    if (**pattern == '\\' && (*pattern)[1])
        ++*pattern;
    return *(*pattern)++ == c;
}

/* Own code because fnmatch(3) depends on the locale, and in glibc it fails on text that is not valid there.
 * Only the last '*' needs to be taken back: whatever an earlier one could match, the last one can match as
 * well. */
bool i4q_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *star_text = NULL;
    while (*text || *pattern) {
        if (*pattern == '*') {
            star = ++pattern;
            star_text = text;
        } else if (*text && *pattern && match_one(&pattern, *text)) {
            text++;
        } else if (star && *star_text) {
            pattern = star;
            text = ++star_text;
        } else {
            return false;
        }
    }
    return true;
}

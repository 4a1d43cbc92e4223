// SPDX-License-Identifier: Apache-2.0
#include "onnx/names.h"

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

/* Each adds what follows from one name; false only when memory runs out. */
static bool add_node(struct i4q_arena *arena, const char *node, const char **alias)
{
    char *module = i4q_arena_alloc(arena, strlen(node) + 1, 1);
    if (!module)
        return false;
    alias[I4Q_ALIAS_NODE] = node;
    write_module(node, module);
    if (!*module)
        return true;
    alias[I4Q_ALIAS_MODULE] = module;
    alias[I4Q_ALIAS_MODULE_WEIGHT] = i4q_arena_format(arena, "%s%s", module, WEIGHT_SUFFIX);
    return alias[I4Q_ALIAS_MODULE_WEIGHT] != NULL;
}

static bool add_weight(struct i4q_arena *arena, const char *weight, const char **alias)
{
    alias[I4Q_ALIAS_WEIGHT] = weight;
    if (!ends_with(weight, WEIGHT_SUFFIX))
        return true;
    int length = (int)(strlen(weight) - strlen(WEIGHT_SUFFIX));
    alias[I4Q_ALIAS_WEIGHT_MODULE] = i4q_arena_format(arena, "%.*s", length, weight);
    return alias[I4Q_ALIAS_WEIGHT_MODULE] != NULL;
}

bool i4q_names_make(struct i4q_arena *arena, const char *node, const char *weight, struct i4q_names *names)
{
    *names = (struct i4q_names){0};
    return (!node || !*node || add_node(arena, node, names->alias)) &&
           (!weight || !*weight || add_weight(arena, weight, names->alias));
}

/* ---- index */

static bool add_hit(struct i4q_name_index *index, const char *alias, size_t conv)
{
    void **slot = i4q_table_at(&index->hits, alias);
    if (!slot)
        return false;
    const struct i4q_name_hit *first = *slot;
    /* Two aliases of one Conv may be the same; its hit would be the newest, hence the first. */
    if (first && first->conv == conv)
        return true;
    struct i4q_name_hit *hit = i4q_arena_alloc(index->arena, 1, sizeof *hit);
    if (!hit)
        return false;
    *hit = (struct i4q_name_hit){conv, first};
    *slot = hit;
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

// SPDX-License-Identifier: Apache-2.0
#include "plan/near_pattern.h"

#include "base/suggest.h"

#include <string.h>

/* The sign that divides the words of a name, where the first of these is `words`; 0: it is not. */
static char divider_behind(const char *name, const char *words, size_t length)
{
    bool begins = strncmp(name, words, length) == 0;
    return begins && (name[length] == '.' || name[length] == '/') ? name[length] : '\0';
}

static char find_divider(const struct i4q_names *names, const char *words, size_t length)
{
    char divider = '\0';
    for (int a = 0; a < I4Q_ALIASES && !divider; a++)
        divider = names->alias[a] ? divider_behind(names->alias[a], words, length) : '\0';
    return divider;
}

static const char *find_name(const struct i4q_name_index *index, const char *pattern, size_t *count)
{
    struct i4q_suggestion near = {.word = pattern};
    for (size_t i = 0; i < index->count; i++)
        for (int a = 0; a < I4Q_ALIASES; a++)
            if (index->names[i].alias[a])
                i4q_suggest(&near, index->names[i].alias[a]);
    const struct i4q_name_hit *hit = near.found ? i4q_name_index_find(index, near.found) : NULL;
    for (*count = 0; hit; hit = hit->next)
        ++*count;
    return near.found;
}

const char *i4q_near_pattern(const struct i4q_name_index *index, const char *pattern, size_t *count)
{
    size_t length = strlen(pattern);
    char divider = '\0';
    while (length && strchr("./*", pattern[length - 1]))
        length--;
    *count = 0;
    for (size_t i = 0; length && i < index->count; i++) {
        char found = find_divider(&index->names[i], pattern, length);
        divider = divider ? divider : found;
        *count += found != '\0';
    }
    return divider ? i4q_arena_format(index->arena, "%.*s%c*", (int)length, pattern, divider)
                   : find_name(index, pattern, count);
}

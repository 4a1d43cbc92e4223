// SPDX-License-Identifier: Apache-2.0
#include "inspect/differences.h"

void i4q_differences_begin(struct i4q_differences *differences, struct i4q_arena *arena)
{
    *differences = (struct i4q_differences){.texts = {.count = 0}};
    i4q_table_init(&differences->by_text, arena);
}

bool i4q_differences_add(struct i4q_differences *differences, struct i4q_arena *arena, const char *kind,
                         const char *text)
{
    void **slot = i4q_table_at(&differences->by_text, kind);
    if (!slot)
        return false;
    struct i4q_difference_kind *found = *slot;
    if (!found) {
        found = i4q_arena_alloc(arena, 1, sizeof *found);
        if (!found)
            return false;
        *found = (struct i4q_difference_kind){.text = kind, .first = differences->texts.count};
        *slot = found;
    }
    found->count++;
    return i4q_list_add(arena, &differences->kinds, found) &&
           i4q_patterns_add(arena, &differences->texts, text);
}

const struct i4q_difference_kind *i4q_difference_kind(const struct i4q_differences *differences, size_t index)
{
    return differences->kinds.items[index];
}

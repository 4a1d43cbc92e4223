// SPDX-License-Identifier: Apache-2.0
#include "base/list.h"

#include <string.h>

bool i4q_list_add(struct i4q_arena *arena, struct i4q_list *list, void *item)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 2;
        void **items = i4q_arena_alloc(arena, capacity, sizeof *items);
        if (!items)
            return false;
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "int4q/table.h"

#include "int4q/checked.h"

#include <string.h>

enum { FIRST_CAPACITY = 16 };

/* FNV-1a (Fowler, Noll, Vo), 64 bits, folded so that the low bits depend on all of it. */
static size_t hash(const char *key)
{
    uint64_t h = 14695981039346656037u;
    for (const char *c = key; *c; c++)
        h = (h ^ (uint8_t)*c) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

/* The slot of `key`, or the free one where it belongs; there is always a free slot. */
static struct i4q_table_slot *find(const struct i4q_table *table, const char *key)
{
    size_t i = hash(key) & (table->capacity - 1);
    while (table->slots[i].key && strcmp(table->slots[i].key, key) != 0)
        i = (i + 1) & (table->capacity - 1);
    return &table->slots[i];
}

static bool grow(struct i4q_table *table)
{
    struct i4q_table bigger = {.arena = table->arena, .count = table->count};
    bigger.capacity = table->capacity ? table->capacity * 2 : FIRST_CAPACITY;
    bigger.slots = i4q_arena_alloc(table->arena, bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->slots[i].key)
            *find(&bigger, table->slots[i].key) = table->slots[i];
    i4q_arena_drop(table->arena, table->slots);
    *table = bigger;
    return true;
}

void i4q_table_init(struct i4q_table *table, struct i4q_arena *arena)
{
    *table = (struct i4q_table){.arena = arena};
}

void **i4q_table_at(struct i4q_table *table, const char *key)
{
    if (table->count >= table->capacity / 2 && !grow(table))
        return NULL;
    struct i4q_table_slot *slot = find(table, key);
    if (!slot->key) {
        slot->key = key;
        table->count++;
    }
    return &slot->value;
}

void *i4q_table_get(const struct i4q_table *table, const char *key)
{
    return table->capacity ? find(table, key)->value : NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "base/table.h"

#include "base/checked.h"
#include "base/system.h"

#include <string.h>

enum { FIRST_CAPACITY = 16 };

/* ---- hash */

static uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static void scramble(uint64_t v[4], int rounds)
{
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1], v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    scramble(v, 1);
    v[0] ^= word;
}

uint64_t i4q_table_hash(const char *key, const uint64_t seed[2])
{
    uint64_t v[] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                    seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    size_t length = strlen(key), at = 0;
    uint64_t word;
    for (; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, key + at, sizeof word);
        absorb(v, word);
    }
    word = (uint64_t)length << 56;
    for (size_t i = 0; at + i < length; i++)
        word |= (uint64_t)(uint8_t)key[at + i] << 8 * i;
    absorb(v, word);
    v[2] ^= 0xff;
    scramble(v, 3);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- table */

/* The slot of `key`, or the free one where it belongs; there is always a free slot. */
static struct i4q_table_slot *find(const struct i4q_table *table, const char *key)
{
    size_t i = (size_t)i4q_table_hash(key, table->seed) & (table->capacity - 1);
    while (table->slots[i].key && strcmp(table->slots[i].key, key) != 0)
        i = (i + 1) & (table->capacity - 1);
    return &table->slots[i];
}

static bool grow(struct i4q_table *table)
{
    struct i4q_table bigger = *table;
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
    *table = (struct i4q_table){.arena = arena, .seed = i4q_system_seed()};
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

// SPDX-License-Identifier: Apache-2.0
/* A map from strings to pointers, in an arena. Keys are borrowed and must outlive the table. */
#ifndef INT4Q_BASE_TABLE_H
#define INT4Q_BASE_TABLE_H

#include "base/arena.h"

#include <stdint.h>

struct i4q_table_slot {
    const char *key; /* NULL: free */
    void *value;
};

struct i4q_table {
    struct i4q_arena *arena;
    const uint64_t *seed;         /* of the hash: another one in each process */
    struct i4q_table_slot *slots; /* open addressing, a power of two of them, at most half in use */
    size_t capacity, count;
};

/* An empty table; allocates nothing yet. */
void i4q_table_init(struct i4q_table *table, struct i4q_arena *arena);

/* The place of the value for `key`, made (NULL) when it is new; NULL when memory runs out. Valid until the
 * next call that adds a key. */
void **i4q_table_at(struct i4q_table *table, const char *key) I4Q_MUST_CHECK;

/* SipHash-1-3 (Aumasson, Bernstein 2012): who does not know the seed cannot make keys that meet in one slot.
 */
uint64_t i4q_table_hash(const char *key, const uint64_t seed[2]);

/* The value for `key`, or NULL. */
void *i4q_table_get(const struct i4q_table *table, const char *key);

#endif

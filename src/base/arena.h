// SPDX-License-Identifier: Apache-2.0
/*
 * A bump allocator with a limit. Everything that belongs to a model (messages of protobuf-c, names, index,
 * new nodes) is allocated here and dies with it at once, so graph surgery has no ownership questions, and a
 * payload pointer may alias the mapped file: nobody ever frees a field.
 *
 * Invariants: blocks never move; every allocation is aligned for its elements; `used` never exceeds `limit`.
 * Not thread-safe.
 */
#ifndef INT4Q_BASE_ARENA_H
#define INT4Q_BASE_ARENA_H

#include "base/error.h"

#include <stddef.h>

struct i4q_arena_block;

struct i4q_arena {
    struct i4q_arena_block *blocks; /* newest first */
    size_t used;                    /* bytes taken from the system, all overhead included */
    size_t grown;                   /* of them, in blocks that many allocations share */
    size_t limit;                   /* bytes; an allocation that would pass it fails */
};

/* An empty arena; allocates nothing. */
void i4q_arena_init(struct i4q_arena *arena, size_t limit);

/* Frees every allocation at once; the arena may be used again. */
void i4q_arena_free(struct i4q_arena *arena);

/* Zeroed memory for `count` elements of `size` bytes each, or NULL (overflow, limit, out of memory).
 * Aligned for any type of this size. count == 0 gives a valid pointer. */
void *i4q_arena_alloc(struct i4q_arena *arena, size_t count, size_t size) I4Q_MUST_CHECK;

/* Gives back an allocation that nothing refers to any more, if it is so large that it has a
 * block of its own; others stay where they are. For arrays that grow. */
void i4q_arena_drop(struct i4q_arena *arena, const void *allocation);

/* A formatted, terminated string, or NULL. */
char *i4q_arena_format(struct i4q_arena *arena, const char *format, ...) I4Q_PRINTF(2, 3) I4Q_MUST_CHECK;

#endif

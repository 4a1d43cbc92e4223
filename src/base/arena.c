// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include "base/checked.h"
#include "base/system.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

/* Blocks grow with what is in them, so that their number stays logarithmic and the unused rest of the last
 * one small. PAGE is the largest that systems have as their ordinary one. */
enum { FIRST_BLOCK = 1 << 16, LAST_BLOCK = 1 << 22, PAGE = 1 << 16, HUGE_PAGE = 1 << 21 };

struct i4q_arena_block {
    struct i4q_arena_block *older;
    size_t used, size; /* of `data` */
    size_t taken;      /* from the system, this header included; LAST_BLOCK and more are mapped */
    bool single;       /* made for one allocation */
    alignas(max_align_t) unsigned char data[];
};

void i4q_arena_init(struct i4q_arena *arena, size_t limit)
{
    *arena = (struct i4q_arena){.limit = limit};
}

static void free_block(struct i4q_arena_block *block)
{
    if (block->taken >= LAST_BLOCK)
        i4q_system_unmap(block, block->taken);
    else
        free(block);
}

void i4q_arena_free(struct i4q_arena *arena)
{
    while (arena->blocks) {
        struct i4q_arena_block *older = arena->blocks->older;
        free_block(arena->blocks);
        arena->blocks = older;
    }
    arena->used = arena->grown = 0;
}

static bool round_up(size_t bytes, size_t unit, size_t *rounded)
{
    if (!i4q_add_size(bytes, unit - 1, rounded))
        return false;
    *rounded -= *rounded % unit;
    return true;
}

/* What a block for `size` bytes takes from the system: mappings are whole pages, huge ones where an eighth is
 * the most that this adds. */
static bool find_taken(size_t size, size_t *taken)
{
    size_t bytes;
    if (!i4q_add_size(sizeof(struct i4q_arena_block), size, &bytes))
        return false;
    *taken = bytes;
    if (bytes < LAST_BLOCK)
        return true;
    return round_up(bytes, HUGE_PAGE, taken) && (*taken - bytes <= bytes / 8 || round_up(bytes, PAGE, taken));
}

/* Zeroed; pages that nobody uses are not touched. NULL: more than `left`, or out of memory. */
static struct i4q_arena_block *allocate(size_t size, size_t left)
{
    size_t taken;
    if (!find_taken(size, &taken) || taken > left)
        return NULL;
    struct i4q_arena_block *block = taken < LAST_BLOCK ? calloc(1, taken) : i4q_system_map(taken);
    if (block) {
        block->size = size;
        block->taken = taken;
    }
    return block;
}

/* Bytes of the next block that many allocations share, its header included. */
static size_t next_block(const struct i4q_arena *arena)
{
    return arena->grown < FIRST_BLOCK ? FIRST_BLOCK : arena->grown < LAST_BLOCK ? arena->grown : LAST_BLOCK;
}

/* A new block with room for `needed` bytes. What is large has a block of its own, behind the one in use,
 * whose rest is not lost then. */
static struct i4q_arena_block *add_block(struct i4q_arena *arena, size_t needed)
{
    size_t left = arena->limit - arena->used, next = next_block(arena);
    size_t size = next - sizeof(struct i4q_arena_block);
    if (next > left || size < needed)
        size = needed;
    struct i4q_arena_block *block = allocate(size, left);
    if (!block)
        return NULL;
    arena->used += block->taken;
    block->single = arena->blocks && size == needed;
    if (block->single) {
        block->older = arena->blocks->older;
        arena->blocks->older = block;
    } else {
        arena->grown += block->taken;
        block->older = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

/* The alignment of any type that has this size: that of a type divides its size. */
static size_t alignment_of(size_t size)
{
    size_t power = size & (~size + 1);
    return power == 0 || power > alignof(max_align_t) ? alignof(max_align_t) : power;
}

void *i4q_arena_alloc(struct i4q_arena *arena, size_t count, size_t size)
{
    struct i4q_arena_block *block = arena->blocks;
    size_t bytes, alignment = alignment_of(size), padding = block ? -block->used % alignment : 0;
    if (!i4q_mul_size(count, size, &bytes))
        return NULL;
    if (!block || block->size - block->used < padding || block->size - block->used - padding < bytes) {
        block = add_block(arena, bytes);
        padding = 0;
    }
    if (!block)
        return NULL;
    void *result = block->data + block->used + padding;
    block->used += padding + bytes;
    return result;
}

void i4q_arena_drop(struct i4q_arena *arena, const void *allocation)
{
    for (struct i4q_arena_block **at = &arena->blocks; *at; at = &(*at)->older) {
        struct i4q_arena_block *block = *at;
        if (block->data != allocation || !block->single)
            continue;
        *at = block->older;
        arena->used -= block->taken;
        free_block(block);
        return;
    }
}

char *i4q_arena_format(struct i4q_arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : i4q_arena_alloc(arena, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

// SPDX-License-Identifier: Apache-2.0
#include "int4q/arena.h"

#include "int4q/checked.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Blocks grow with the arena, so that their number stays logarithmic and the unused rest of the last one
 * small. */
enum { FIRST_BLOCK = 1 << 16, LAST_BLOCK = 1 << 22, HUGE_PAGE = 1 << 21 };

struct i4q_arena_block {
    struct i4q_arena_block *older;
    size_t used, size; /* of `data` */
    alignas(max_align_t) unsigned char data[];
};

void i4q_arena_init(struct i4q_arena *arena, size_t limit)
{
    *arena = (struct i4q_arena){.limit = limit};
}

void i4q_arena_free(struct i4q_arena *arena)
{
    while (arena->blocks) {
        struct i4q_arena_block *older = arena->blocks->older;
        free(arena->blocks);
        arena->blocks = older;
    }
    arena->used = 0;
}

static size_t block_size(const struct i4q_arena *arena, size_t needed)
{
    size_t size = arena->used < FIRST_BLOCK  ? FIRST_BLOCK
                  : arena->used < LAST_BLOCK ? arena->used
                                             : LAST_BLOCK;
    return needed > size ? needed : size;
}

/* Codes of large models are touched once each, so that page faults would cost as much as their arithmetic.
 * Only a hint: most systems have huge pages for those who ask, and keep to small ones when they are short. */
static void prefer_huge_pages(const void *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = (uintptr_t)data + size;
    uintptr_t start = ((uintptr_t)data + page - 1) / page * page;
    if (size >= HUGE_PAGE)
        madvise((void *)start, (size_t)(end - start), MADV_HUGEPAGE);
}

/* A new block with room for `needed` bytes. One for a large allocation goes behind the block in use, whose
 * rest is not lost then. calloc gives zeroed pages without touching them. */
static struct i4q_arena_block *add_block(struct i4q_arena *arena, size_t needed)
{
    size_t size = block_size(arena, needed), bytes;
    if (size > arena->limit - arena->used)
        size = needed;
    if (size > arena->limit - arena->used || !i4q_add_size(sizeof(struct i4q_arena_block), size, &bytes))
        return NULL;
    struct i4q_arena_block *block = calloc(1, bytes);
    if (!block)
        return NULL;
    prefer_huge_pages(block, bytes);
    block->size = size;
    arena->used += size;
    if (arena->blocks && size == needed) {
        block->older = arena->blocks->older;
        arena->blocks->older = block;
    } else {
        block->older = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *i4q_arena_alloc(struct i4q_arena *arena, size_t count, size_t size)
{
    size_t bytes, rounded;
    if (!i4q_mul_size(count, size, &bytes) || !i4q_add_size(bytes, alignof(max_align_t) - 1, &rounded))
        return NULL;
    rounded -= rounded % alignof(max_align_t);
    struct i4q_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < rounded)
        block = add_block(arena, rounded);
    if (!block)
        return NULL;
    void *result = block->data + block->used;
    block->used += rounded;
    return result;
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

static void *protobuf_alloc(void *arena, size_t size)
{
    return i4q_arena_alloc(arena, size, 1);
}

static void protobuf_free(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

ProtobufCAllocator i4q_arena_protobuf(struct i4q_arena *arena)
{
    return (ProtobufCAllocator){protobuf_alloc, protobuf_free, arena};
}

// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include "base/checked.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Blocks grow with what is in them, so that their number stays logarithmic and the unused rest of the last
 * one small. */
enum { FIRST_BLOCK = 1 << 16, LAST_BLOCK = 1 << 22, HUGE_PAGE = 1 << 21 };

struct i4q_arena_block {
    struct i4q_arena_block *older;
    size_t used, size; /* of `data` */
    size_t mapped;     /* bytes of a block that was mapped, this header included; 0: it comes from calloc */
    bool single;       /* made for one allocation */
    alignas(max_align_t) unsigned char data[];
};

void i4q_arena_init(struct i4q_arena *arena, size_t limit)
{
    *arena = (struct i4q_arena){.limit = limit};
}

static void free_block(struct i4q_arena_block *block)
{
    if (block->mapped)
        munmap(block, block->mapped);
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

/* Much memory is touched once only, so that page faults would cost as much as the work on it: it is made of
 * huge pages, on systems that have them for those who ask. */
static struct i4q_arena_block *map_block(size_t bytes)
{
    size_t whole;
    if (!i4q_add_size(bytes, HUGE_PAGE - 1, &whole))
        return NULL;
    whole -= whole % HUGE_PAGE;
    struct i4q_arena_block *block =
        mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
    madvise(block, whole, MADV_HUGEPAGE);
    block->mapped = whole;
    return block;
}

/* Zeroed; pages that nobody uses are not touched. */
static struct i4q_arena_block *allocate(size_t size)
{
    size_t bytes;
    if (!i4q_add_size(sizeof(struct i4q_arena_block), size, &bytes))
        return NULL;
    struct i4q_arena_block *block = bytes < LAST_BLOCK ? calloc(1, bytes) : map_block(bytes);
    if (block)
        block->size = size;
    return block;
}

static size_t block_size(const struct i4q_arena *arena)
{
    size_t whole = arena->grown < FIRST_BLOCK  ? FIRST_BLOCK
                   : arena->grown < LAST_BLOCK ? arena->grown
                                               : LAST_BLOCK;
    return whole - sizeof(struct i4q_arena_block);
}

/* A new block with room for `needed` bytes. What is large has a block of its own, behind the one in use,
 * whose rest is not lost then. */
static struct i4q_arena_block *add_block(struct i4q_arena *arena, size_t needed)
{
    size_t left = arena->limit - arena->used, size = block_size(arena);
    if (size > left || size < needed)
        size = needed;
    struct i4q_arena_block *block = size <= left ? allocate(size) : NULL;
    if (!block)
        return NULL;
    arena->used += size;
    block->single = arena->blocks && size == needed;
    if (block->single) {
        block->older = arena->blocks->older;
        arena->blocks->older = block;
    } else {
        arena->grown += size;
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
        arena->used -= block->size;
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

static void *protobuf_alloc(void *arena, size_t size)
{
    return i4q_arena_alloc(arena, 1, size);
}

static void protobuf_free(void *arena, void *pointer)
{
    i4q_arena_drop(arena, pointer);
}

ProtobufCAllocator i4q_arena_protobuf(struct i4q_arena *arena)
{
    return (ProtobufCAllocator){protobuf_alloc, protobuf_free, arena};
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/arena.h"

#include <stdalign.h>
#include <sys/resource.h>

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct i4q_arena arena;
    i4q_arena_init(&arena, 1 << 24);
    unsigned char *before = NULL;
    for (size_t size = 1; size < 3000; size += 7) {
        unsigned char *now = i4q_arena_alloc(&arena, 1, size);
        assert_non_null(now);
        for (size_t alignment = 1; alignment <= alignof(max_align_t); alignment *= 2)
            assert_true(size % alignment || (uintptr_t)now % alignment == 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(now[i], 0);
        memset(now, 0xff, size);
        assert_ptr_not_equal(now, before);
        before = now;
    }
    i4q_arena_free(&arena);
}

static void limit_and_overflow_fail(void **state)
{
    (void)state;
    struct i4q_arena arena;
    i4q_arena_init(&arena, 1000);
    assert_non_null(i4q_arena_alloc(&arena, 1, 500));
    assert_null(i4q_arena_alloc(&arena, 1, 600));
    assert_non_null(i4q_arena_alloc(&arena, 1, 400));
    assert_null(i4q_arena_alloc(&arena, SIZE_MAX / 2, 3));
    assert_null(i4q_arena_alloc(&arena, SIZE_MAX, 1));
    assert_true(arena.used <= arena.limit);
    i4q_arena_free(&arena);
}

static void large_allocation_leaves_the_block_in_use(void **state)
{
    (void)state;
    struct i4q_arena arena;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    char *a = i4q_arena_alloc(&arena, 16, 1);
    assert_non_null(i4q_arena_alloc(&arena, 1 << 23, 1));
    char *b = i4q_arena_alloc(&arena, 16, 1);
    assert_ptr_equal(a + 16, b);
    i4q_arena_free(&arena);
}

/* And does not harm its neighbours, nor what is small. */
static void only_large_allocations_are_given_back(void **state)
{
    (void)state;
    enum { SMALL = 1 << 10, LARGE = 1 << 23 };
    struct i4q_arena arena;
    i4q_arena_init(&arena, 3 * LARGE);
    char *small = i4q_arena_alloc(&arena, SMALL, 1);
    for (int i = 0; i < 5; i++) { /* more than there is room for at once */
        char *large = i4q_arena_alloc(&arena, LARGE, 1), *more = i4q_arena_alloc(&arena, LARGE, 1);
        assert_true(large && more && !large[0] && !large[LARGE - 1] && !more[0]);
        memset(large, 1, LARGE);
        i4q_arena_drop(&arena, more);
        memset(large, 2, LARGE);
        i4q_arena_drop(&arena, large);
        i4q_arena_drop(&arena, small);
        memset(small, 3, SMALL);
    }
    i4q_arena_drop(&arena, NULL);
    i4q_arena_free(&arena);
}

static size_t peak_memory(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/* Tensors of a power of two are the worst case of a block with a header in whole pages. */
static void what_is_taken_is_counted(void **state)
{
    (void)state;
    enum { EACH = 4 << 20, COUNT = 16 };
    struct i4q_arena arena;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    size_t before = peak_memory();
    for (int i = 0; i < COUNT; i++) {
        void *tensor = i4q_arena_alloc(&arena, EACH, 1);
        assert_non_null(tensor);
        memset(tensor, 1, EACH);
    }
    assert_true(arena.used >= (size_t)EACH * COUNT && arena.used < (size_t)EACH * COUNT * 9 / 8);
#ifdef __SANITIZE_THREAD__
    print_message("skipped: ThreadSanitizer shadows memory\n");
    (void)before;
#else
    assert_true(peak_memory() - before < arena.used * 9 / 8);
#endif
    i4q_arena_free(&arena);
    assert_int_equal(arena.used, 0);
}

static void messages_are_aligned_behind_strings(void **state)
{
    (void)state;
    struct i4q_arena arena;
    i4q_arena_init(&arena, 1 << 20);
    assert_non_null(i4q_arena_alloc(&arena, 1, 3));
    assert_int_equal((uintptr_t)i4q_arena_alloc(&arena, 1, 3 * sizeof(void *)) % alignof(void *), 0);
    i4q_arena_free(&arena);
}

static void format_makes_strings(void **state)
{
    (void)state;
    struct i4q_arena arena;
    i4q_arena_init(&arena, 1 << 20);
    assert_string_equal(i4q_arena_format(&arena, "%s_%d", "scale", 7), "scale_7");
    i4q_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
        cmocka_unit_test(limit_and_overflow_fail),
        cmocka_unit_test(large_allocation_leaves_the_block_in_use),
        cmocka_unit_test(only_large_allocations_are_given_back),
        cmocka_unit_test(what_is_taken_is_counted),
        cmocka_unit_test(messages_are_aligned_behind_strings),
        cmocka_unit_test(format_makes_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "platform/threads.h"

#include <stdatomic.h>

enum { CHUNKS = 1000 };

static atomic_int counts[CHUNKS];

static void count(void *context, size_t index)
{
    (void)context;
    atomic_fetch_add(&counts[index], 1);
}

static void every_chunk_is_done_once(void **state)
{
    (void)state;
    static const unsigned threads[] = {0, 1, 2, 7, 5000};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        memset(counts, 0, sizeof counts);
        i4q_parallel_for(threads[t], CHUNKS, count, NULL);
        for (size_t i = 0; i < CHUNKS; i++)
            assert_int_equal(counts[i], 1);
    }
}

static void no_chunks_are_no_work(void **state)
{
    (void)state;
    memset(counts, 0, sizeof counts);
    i4q_parallel_for(4, 0, count, NULL);
    assert_int_equal(counts[0], 0);
    assert_true(i4q_processors() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_is_done_once),
        cmocka_unit_test(no_chunks_are_no_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

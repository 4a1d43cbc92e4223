// SPDX-License-Identifier: Apache-2.0
#include "platform/threads.h"

#include "platform/native.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    MAX_THREADS = 256,
    STACK = 1 << 20, /* ample: no chunk function recurses. The usual 8 MiB count as memory in use. */
};

struct work {
    i4q_chunk_fn *chunk;
    void *context;
    size_t count;
    atomic_size_t next; /* the first index that nobody has taken */
};

unsigned i4q_processors(void)
{
    int count = i4q_native_processors();
    return count > 0 ? (unsigned)count : 1;
}

static void *take_chunks(void *argument)
{
    struct work *work = argument;
    for (size_t i; (i = atomic_fetch_add(&work->next, 1)) < work->count;)
        work->chunk(work->context, i);
    return NULL;
}

void i4q_parallel_for(unsigned threads, size_t count, i4q_chunk_fn *chunk, void *context)
{
    struct work work = {chunk, context, count, 0};
    pthread_t helpers[MAX_THREADS];
    size_t wanted = threads ? threads : i4q_processors(), started = 0;
    wanted = wanted > count ? count : wanted;
    wanted = wanted > MAX_THREADS ? MAX_THREADS : wanted;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    while (started + 1 < wanted && pthread_create(&helpers[started], &attributes, take_chunks, &work) == 0)
        started++;
    pthread_attr_destroy(&attributes);
    take_chunks(&work);
    for (size_t i = 0; i < started; i++)
        pthread_join(helpers[i], NULL);
}

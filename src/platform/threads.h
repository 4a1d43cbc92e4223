// SPDX-License-Identifier: Apache-2.0
/* Threads for work that falls into independent chunks. */
#ifndef INT4Q_PLATFORM_THREADS_H
#define INT4Q_PLATFORM_THREADS_H

#include "base/error.h"

#include <stddef.h>

/* Does chunk `index` of the work; called once for each index, on any thread, in any order. */
typedef void i4q_chunk_fn(void *context, size_t index);

/* Processors that this process may run on, at least 1. */
unsigned i4q_processors(void);

/* Calls `chunk` for every index below `count` on up to `threads` threads (0: one a processor), the caller's
 * among them, and returns when all are done. Chunks are handed out in order. A thread that cannot be started
 * is done without: the others take its chunks, so there is nothing to fail. */
void i4q_parallel_for(unsigned threads, size_t count, i4q_chunk_fn *chunk, void *context);

#endif

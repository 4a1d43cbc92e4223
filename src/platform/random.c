// SPDX-License-Identifier: Apache-2.0
#include "platform/random.h"

#include "base/system.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void i4q_random(void *data, size_t size)
{
    if (getentropy(data, size) == 0)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t words[] = {(uint64_t)now.tv_nsec, (uint64_t)getpid()};
    memset(data, 0, size);
    memcpy(data, words, size < sizeof words ? size : sizeof words);
}

static uint64_t seed[2];

static void make_seed(void)
{
    i4q_random(seed, sizeof seed);
}

const uint64_t *i4q_system_seed(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);
    return seed;
}

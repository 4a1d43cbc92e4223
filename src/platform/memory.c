// SPDX-License-Identifier: Apache-2.0
#include "base/system.h"

#include <sys/mman.h>

/* Much memory is touched once only, so that page faults would cost as much as the work on it: it is made of
 * huge pages, on systems that have them for those who ask. */
void *i4q_system_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}

void i4q_system_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

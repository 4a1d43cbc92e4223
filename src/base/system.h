// SPDX-License-Identifier: Apache-2.0
/* The little that base/ asks of the system that it runs on, declared here for platform/ to give: memory.c,
 * random.c. */
#ifndef INT4Q_BASE_SYSTEM_H
#define INT4Q_BASE_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory of its own, of huge pages where there are any for `size` bytes; NULL: out of memory. `size`
 * is of whole pages. Pages that nobody uses are not touched. */
void *i4q_system_map(size_t size);
void i4q_system_unmap(void *memory, size_t size);

/* Two words that others cannot guess, the same ones as long as the process lives. Thread-safe. */
const uint64_t *i4q_system_seed(void);

#endif

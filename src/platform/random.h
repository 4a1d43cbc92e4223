// SPDX-License-Identifier: Apache-2.0
/* Numbers that others cannot guess; also i4q_system_seed of base/system.h. */
#ifndef INT4Q_PLATFORM_RANDOM_H
#define INT4Q_PLATFORM_RANDOM_H

#include <stddef.h>

/* Fills at most 256 bytes. Where the system has no such numbers they only differ from call to call. */
void i4q_random(void *data, size_t size);

#endif

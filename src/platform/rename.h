// SPDX-License-Identifier: Apache-2.0
/* A name that is given only if nobody has it. */
#ifndef INT4Q_PLATFORM_RENAME_H
#define INT4Q_PLATFORM_RENAME_H

#include <stdbool.h>

/* rename(2) that never replaces anything; false with errno. */
bool i4q_rename_new(const char *from, const char *to);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Files beside a target that have its name, or had it, for a short while only: NAME.<random>.tmp in the same
 * directory. All that there are when the process dies of a signal are removed then. */
#ifndef INT4Q_PLATFORM_TEMPORARY_H
#define INT4Q_PLATFORM_TEMPORARY_H

#include "base/error.h"

#include <sys/types.h>

struct i4q_temporary {
    char *path; /* NULL: there is none */
    int slot;   /* in the table of files to remove when a signal comes; -1: the table is full */
};

/* Creates a file for what is to become `target`; a descriptor to write to, or -1 with errno. */
int i4q_temporary_create(struct i4q_temporary *temporary, const char *target, mode_t mode);

/* Gives the file at `target` a second, temporary name; false with errno. */
bool i4q_temporary_link(struct i4q_temporary *temporary, const char *target);

/* The name is gone, or somebody else's now. Harmless on one that is none. */
void i4q_temporary_forget(struct i4q_temporary *temporary);

/* Removes the file. */
void i4q_temporary_remove(struct i4q_temporary *temporary);

/* Removes all that there are; async-signal-safe, for handlers of deadly signals. */
void i4q_temporaries_remove(void);

#endif

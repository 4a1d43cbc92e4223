// SPDX-License-Identifier: Apache-2.0
/* What a system may have beyond POSIX, for the rest of platform/ only: linux/native.c has it of Linux,
 * posix/native.c of macOS, and of others that it has nothing. Where there is nothing the result is a failure
 * with ENOSYS, and who asked gets by without. */
#ifndef INT4Q_PLATFORM_NATIVE_H
#define INT4Q_PLATFORM_NATIVE_H

#include <stdbool.h>

/* rename(2) that never replaces anything (EEXIST). EINVAL: not in this file system. */
bool i4q_native_rename_new(const char *from, const char *to);

/* open(2) of what lies beneath `directory` without a link on the way: ELOOP or EXDEV otherwise. */
int i4q_native_open_beneath(int directory, const char *location, int flags);

/* Processors that this process may run on; 0: not known. */
int i4q_native_processors(void);

/* raise(3), by a call that the sandbox knows; async-signal-safe. */
void i4q_native_raise(int signal_number);

/* Whether an AArch64 processor has dot products of bytes, which only the system can tell. */
bool i4q_native_has_dot_product(void);

#endif

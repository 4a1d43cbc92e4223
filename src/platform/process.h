// SPDX-License-Identifier: Apache-2.0
/* What a process owes its files before it opens the first one. */
#ifndef INT4Q_PLATFORM_PROCESS_H
#define INT4Q_PLATFORM_PROCESS_H

#include <stdbool.h>

/* Fills up those of the descriptors 0, 1 and 2 that are closed with what can neither be read from nor be
 * written to: the next file that is opened would get that number otherwise, and what is printed would end in
 * it. False: that cannot be done, and no file is safe. */
bool i4q_process_fill_descriptors(void);

/* Deadly signals remove the temporary files of open outputs first; what the process was started with, an
 * ignored signal or a handler of a sanitizer, stays. That a mapped file lost its end is told, and the exit
 * status is I4Q_FAILED. */
void i4q_process_handle_signals(void);

#endif

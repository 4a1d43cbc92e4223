// SPDX-License-Identifier: Apache-2.0
/* Names come as any bytes; what reads them next may want UTF-8. */
#ifndef INT4Q_BASE_UTF8_H
#define INT4Q_BASE_UTF8_H

#include "base/view.h"

#include <stdbool.h>

/* Bytes of the UTF-8 sequence at `text`, which ends with a NUL; 0 where there is none. */
size_t i4q_utf8_length(const char *text);

/* Whether all of the text is UTF-8. */
bool i4q_utf8_is_valid(const char *text);

/* Without the byte order mark that some editors put in front. */
struct i4q_view i4q_utf8_without_mark(struct i4q_view text);

#endif

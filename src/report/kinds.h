// SPDX-License-Identifier: Apache-2.0
/* How many weights are stored as what: "int4", or "5 int4, 1 float32". */
#ifndef INT4Q_REPORT_KINDS_H
#define INT4Q_REPORT_KINDS_H

#include "report/text.h"

enum { I4Q_KINDS_MOST = 6 }; /* told apart; any more are counted with the last */

struct i4q_kinds {
    struct {
        const char *storage; /* its name, which is borrowed */
        size_t count;
    } items[I4Q_KINDS_MOST];
};

void i4q_kinds_add(struct i4q_kinds *kinds, const char *storage);

/* The text, in `buffer`, which is also returned; a single kind without its number unless `numbers`. */
const char *i4q_kinds_text(const struct i4q_kinds *kinds, bool numbers, char buffer[static I4Q_TEXT_NAME]);

#endif

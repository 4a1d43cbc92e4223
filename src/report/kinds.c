// SPDX-License-Identifier: Apache-2.0
#include "report/kinds.h"

#include <stdio.h>
#include <string.h>

void i4q_kinds_add(struct i4q_kinds *kinds, const char *storage)
{
    size_t i = 0;
    while (i < I4Q_KINDS_MOST - 1 && kinds->items[i].storage && strcmp(kinds->items[i].storage, storage) != 0)
        i++;
    if (!kinds->items[i].storage)
        kinds->items[i].storage = storage;
    kinds->items[i].count++;
}

const char *i4q_kinds_text(const struct i4q_kinds *kinds, bool numbers, char buffer[static I4Q_TEXT_NAME])
{
    size_t used = 0;
    const char *single = numbers || kinds->items[1].storage ? NULL : kinds->items[0].storage;
    snprintf(buffer, I4Q_TEXT_NAME, "%s", single ? single : "");
    for (size_t i = 0; !single && i < I4Q_KINDS_MOST && kinds->items[i].storage; i++)
        used += (size_t)snprintf(buffer + used, I4Q_TEXT_NAME - used, "%s%zu %.16s", i ? ", " : "",
                                 kinds->items[i].count, kinds->items[i].storage);
    return buffer;
}

// SPDX-License-Identifier: Apache-2.0
#include "base/suggest.h"

#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows of the usual table, of which an exchange needs the last two. */
size_t i4q_edit_distance(const char *a, const char *b)
{
    size_t rows[3][I4Q_SUGGEST_LENGTH + 1], m = strlen(a), n = strlen(b);
    if (m > I4Q_SUGGEST_LENGTH || n > I4Q_SUGGEST_LENGTH)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= m; i++) {
        size_t *row = rows[i % 3];
        const size_t *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[m % 3][n];
}

void i4q_suggest(struct i4q_suggestion *suggestion, const char *candidate)
{
    size_t length = strlen(suggestion->word), other = strlen(candidate);
    size_t longer = length > other ? length : other, shorter = length + other - longer;
    int begins = length >= 3 && strncmp(candidate, suggestion->word, length) == 0;
    if (longer - shorter > longer / 3 && !begins)
        return;
    size_t distance = i4q_edit_distance(suggestion->word, candidate);
    if (distance > longer / 3 && !begins)
        return;
    if (!suggestion->found || distance < suggestion->distance) {
        suggestion->found = candidate;
        suggestion->distance = distance;
    }
}

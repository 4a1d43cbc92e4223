// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <string.h>

/* Unicode, table 3-7: well-formed byte sequences. */
size_t i4q_utf8_length(const char *string)
{
    const unsigned char *text = (const unsigned char *)string;
    static const struct {
        unsigned char first, last, second_low, second_high;
        size_t length;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (forms[i].length > 1 && (text[1] < forms[i].second_low || text[1] > forms[i].second_high))
            return 0;
        for (size_t b = 2; b < forms[i].length; b++)
            if ((text[b] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

bool i4q_utf8_is_valid(const char *text)
{
    size_t length;
    while (*text && (length = i4q_utf8_length(text)))
        text += length;
    return !*text;
}

struct i4q_view i4q_utf8_without_mark(struct i4q_view text)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t length = sizeof mark - 1;
    if (text.size < length || memcmp(text.data, mark, length) != 0)
        return text;
    return (struct i4q_view){text.data + length, text.size - length};
}

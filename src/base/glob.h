// SPDX-License-Identifier: Apache-2.0
/*
 * Shell globs over a whole text, byte by byte: `*` (also over '/'), `?`, `[...]` with ranges and classes such
 * as
 * `[:digit:]`, `[!...]` or `[^...]`, and `\`, which takes its meaning from the next character. As fnmatch(3)
 * without flags in the locale "C", but compiled first, so that matching takes at most pattern times text
 * steps whatever stands in brackets. A `[` without its `]`, and a `\` at the end, stand for themselves.
 */
#ifndef INT4Q_BASE_GLOB_H
#define INT4Q_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { I4Q_GLOB_MAX = 1024 }; /* bytes of a pattern */

struct i4q_glob {
    size_t count;
    uint16_t tokens[I4Q_GLOB_MAX]; /* a byte, a wildcard, or a set of bytes: see glob.c */
    size_t n_sets;
    uint8_t sets[I4Q_GLOB_MAX / 3 + 1][UINT8_MAX / 8 + 1]; /* a bit for each byte; a set takes 3 to write, and
                                                              one more may be tried that nothing closes */
};

/* Whether the text has a character that means something in a glob. Without one it matches itself alone. */
bool i4q_glob_is_plain(const char *text);

/* False: the pattern is too long. */
bool i4q_glob_compile(const char *pattern, struct i4q_glob *glob);

bool i4q_glob_match(const struct i4q_glob *glob, const char *text);

#endif

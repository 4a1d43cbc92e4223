// SPDX-License-Identifier: Apache-2.0
/* --include and --exclude: which Convs the user's patterns choose. */
#ifndef INT4Q_PLAN_PATTERNS_H
#define INT4Q_PLAN_PATTERNS_H

#include "base/view.h"
#include "onnx/names.h"

/* Patterns, in the order given. A pattern is plain text where some Conv has that very name, else a shell
 * glob. */
struct i4q_patterns {
    const char **items; /* in the arena */
    size_t count, capacity;
};

bool i4q_patterns_add(struct i4q_arena *arena, struct i4q_patterns *patterns,
                      const char *text) I4Q_MUST_CHECK;

/* Adds the patterns of a file: one a line; blank lines, lines that begin with '#' (after blanks) and a
 * trailing CR are ignored, as are blanks around a pattern. A NUL byte is an error (I4Q_USAGE) with its line
 * number. */
bool i4q_patterns_add_lines(struct i4q_arena *arena, struct i4q_patterns *patterns, struct i4q_view text,
                            struct i4q_error *error) I4Q_MUST_CHECK;

enum i4q_choice { I4Q_CHOSEN, I4Q_EXCLUDED, I4Q_NOT_INCLUDED };

/* Decides about every Conv of the index: choices[i], and exact[i] = some include pattern is its very name.
 * Unless only_included, all Convs are; exclude wins. Patterns that match no Conv go to `unmatched`, each once
 * (in the arena); whether that is an error is the caller's to say. Time is that of globs times names, which
 * is bounded; plain names are looked up. I4Q_USAGE: a glob of more than I4Q_GLOB_MAX bytes, or too many of
 * them. */
bool i4q_select(const struct i4q_name_index *index, const struct i4q_patterns *included, bool only_included,
                const struct i4q_patterns *excluded, enum i4q_choice *choices, bool *exact,
                struct i4q_patterns *unmatched, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* "did you mean": the word that a mistyped one is nearest to. */
#ifndef INT4Q_BASE_SUGGEST_H
#define INT4Q_BASE_SUGGEST_H

#include <stddef.h>

enum { I4Q_SUGGEST_LENGTH = 64 }; /* longer words are no slips of the finger */

/* How many letters must be inserted, removed, replaced or exchanged with their neighbour to make one word of
 * the other (optimal string alignment distance). Above I4Q_SUGGEST_LENGTH letters: SIZE_MAX. */
size_t i4q_edit_distance(const char *a, const char *b);

/* The best word so far. Begin with {word}; `found` stays NULL while no candidate is near enough: at most a
 * third of the letters of the longer one differ, or the word is the beginning of the candidate. Of equals the
 * first. */
struct i4q_suggestion {
    const char *word, *found;
    size_t distance;
};

void i4q_suggest(struct i4q_suggestion *suggestion, const char *candidate);

#endif

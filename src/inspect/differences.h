// SPDX-License-Identifier: Apache-2.0
/* What differs between two models, in sentences; those of one kind are counted, so that a report may say in a
 * line that 78 biases changed. */
#ifndef INT4Q_INSPECT_DIFFERENCES_H
#define INT4Q_INSPECT_DIFFERENCES_H

#include "base/list.h"
#include "base/table.h"
#include "plan/patterns.h"

struct i4q_difference_kind {
    const char *text;    /* what is said of many: "nodes (Mul) changed" */
    size_t count, first; /* differences of the kind; where the first of them is */
};

struct i4q_differences {
    struct i4q_patterns texts;
    struct i4q_list kinds; /* for each text its struct i4q_difference_kind */
    struct i4q_table by_text;
};

void i4q_differences_begin(struct i4q_differences *differences, struct i4q_arena *arena);

/* Adds one of the kind with these words, which live as long as the arena. False only when memory runs out. */
bool i4q_differences_add(struct i4q_differences *differences, struct i4q_arena *arena, const char *kind,
                         const char *text) I4Q_MUST_CHECK;

const struct i4q_difference_kind *i4q_difference_kind(const struct i4q_differences *differences,
                                                      size_t index);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Sensitivity JSON (--topk): which Convs hurt most when they are quantized. The shapes are told apart by
 * their structure, never by file name; docs: README, "Sensitivity JSON". */
#ifndef INT4Q_SENSITIVITY_H
#define INT4Q_SENSITIVITY_H

#include "int4q/names.h"
#include "int4q/selection.h"
#include "int4q/view.h"

/* What a file says of one Conv. */
struct i4q_measurement {
    bool present; /* the file names this Conv */
    double score; /* as in the file; 0 where the file only lists names */
    double worse; /* larger = more sensitive, whichever way the file counts */
};

struct i4q_sensitivity {
    bool scored; /* false: the file lists what stays float (shape 3), without scores */
    bool has_k;  /* the file has a "k" that means something */
    size_t k;
    size_t entries;                /* rows or names that the file has and that count (skipped rows do not) */
    struct i4q_measurement *convs; /* one for each Conv of the index, in the arena */
    struct i4q_patterns unmatched; /* names that no Conv has, in file order */
};

/* Reads a file for the Convs of `index`. `weights[i]` tells which Convs share one weight: equal non-NULL
 * pointers. I4Q_MODEL: not JSON (with line and column), a shape that is none of those known (saying what was
 * expected), a score that is not a finite number, a name that fits several Convs with different weights
 * (naming them), or no name fits at all. */
bool i4q_sensitivity_read(struct i4q_arena *arena, struct i4q_view json, const struct i4q_name_index *index,
                          const void *const *weights, struct i4q_sensitivity *sensitivity,
                          struct i4q_error *error) I4Q_MUST_CHECK;

#endif

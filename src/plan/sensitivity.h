// SPDX-License-Identifier: Apache-2.0
/* Sensitivity JSON (--topk): which Convs hurt most when they are quantized. The shapes are told apart by
 * their structure, never by file name; see docs/reference.md. */
#ifndef INT4Q_PLAN_SENSITIVITY_H
#define INT4Q_PLAN_SENSITIVITY_H

#include "base/view.h"
#include "onnx/names.h"
#include "plan/patterns.h"

/* What a file says of one Conv. */
struct i4q_measurement {
    bool present; /* the file names this Conv */
    double score; /* as in the file; 0 where the file only lists names */
    double worse; /* larger = more sensitive, whichever way the file counts */
    double noise; /* to signal, of the codes that it was measured with; 0 where the file does not tell */
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
 * pointers; a name that fits several of them measures them all. Of several rows for one Conv counts the one
 * with the fewest bits (a row that does not tell its bits comes after those that do), then the worst score.
 *
 * I4Q_MODEL: not JSON, or a key twice in one object (with line and column), a shape that is none of those
 * known (saying what was expected), a row with a wrong type or a noise of 0 or less (saying which), a name
 * that fits several Convs with different weights (naming them), or entries of which none names a Conv. A
 * shape without entries is no error, and neither is a model without Convs. */
bool i4q_sensitivity_read(struct i4q_arena *arena, struct i4q_view json, const struct i4q_name_index *index,
                          const void *const *weights, struct i4q_sensitivity *sensitivity,
                          struct i4q_error *error) I4Q_MUST_CHECK;

#endif

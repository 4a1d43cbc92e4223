// SPDX-License-Identifier: Apache-2.0
/* --target-size: how many of the most sensitive Convs can be kept in an output of at most so many bytes. */
#ifndef INT4Q_PLAN_BUDGET_H
#define INT4Q_PLAN_BUDGET_H

#include "onnx/save.h"
#include "rewrite/rewrite.h"

struct i4q_target_size {
    const struct i4q_model *model;      /* as it was loaded; every try loads its bytes anew */
    const char *output_path, *external; /* as for i4q_layout_make */
    bool follow_symlinks;
    const struct i4q_plan_options *options;
    int64_t opset; /* as for i4q_rewrite_apply */
    const struct i4q_kernels *kernels;
    size_t limit; /* bytes of the output */

    size_t keep; /* the result */
};

/* A size, or a percentage of `input` bytes; I4Q_USAGE when the text is neither. */
bool i4q_target_size_parse(const char *text, size_t input, size_t *limit,
                           struct i4q_error *error) I4Q_MUST_CHECK;

/* Tries, by bisection, how many fit; each try is a rewrite in memory, so sizes are exact. Takes it that
 * keeping one Conv more never makes the output smaller; where a tiny weight breaks that rule, fewer may be
 * kept than could be. I4Q_UNMET: not even an output that keeps none fits (naming its size); else the errors
 * of planning and rewriting. */
bool i4q_target_size_fit(struct i4q_target_size *fit, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* The options of int4q rewrite, and what they mean to the plan. */
#ifndef INT4Q_CLI_REWRITE_OPTIONS_H
#define INT4Q_CLI_REWRITE_OPTIONS_H

#include "cli/cli.h"
#include "plan/plan.h"

/* As given on the command line. */
struct i4q_rewrite_arguments {
    struct i4q_common common;
    const char *output, *json, *topk, *quantize, *target_size, *op_types, *calibration, *external;
    struct i4q_word topk_order, rank, format, keep_format, method, scale, rounding, decode, dq_domain;
    bool force, dry_run, strict, allow_unmatched, assume_constant, follow_symlinks, asymmetric,
        no_bias_correction;
    struct i4q_patterns include, exclude, include_from, exclude_from;
    struct i4q_number keep, min_weights, opset, block;
};

extern const struct i4q_option i4q_rewrite_options[]; /* ends with a row without a name */

/* Values and combinations that make no sense: I4Q_USAGE. */
bool i4q_rewrite_check_usage(const struct i4q_rewrite_arguments *arguments,
                             struct i4q_error *error) I4Q_MUST_CHECK;

/* What the arguments mean, but for the contents of pattern and JSON files. I4Q_USAGE: a word or number that
 * is none. */
bool i4q_rewrite_plan_options(const struct i4q_rewrite_arguments *arguments, struct i4q_plan_options *options,
                              struct i4q_error *error) I4Q_MUST_CHECK;

/* --rank: by the outputs of Convs rather than by their weights. */
bool i4q_rewrite_ranks_by_outputs(const struct i4q_rewrite_arguments *arguments);

/* Whether a path stands for standard input or output. */
bool i4q_is_dash(const char *path);

#endif

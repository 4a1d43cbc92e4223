// SPDX-License-Identifier: Apache-2.0
/* What the options of int4q rewrite mean to the plan. */
#ifndef INT4Q_CLI_REWRITE_MEANING_H
#define INT4Q_CLI_REWRITE_MEANING_H

#include "cli/rewrite_options.h"
#include "plan/plan.h"

/* Values and combinations that make no sense: I4Q_USAGE. */
bool i4q_rewrite_check_usage(const struct i4q_rewrite_arguments *arguments,
                             struct i4q_error *error) I4Q_MUST_CHECK;

/* What the arguments mean, but for the contents of pattern and JSON files; options that make no difference
 * are noted. I4Q_USAGE: a word or number that is none. */
bool i4q_rewrite_plan_options(const struct i4q_rewrite_arguments *arguments, struct i4q_plan_options *options,
                              struct i4q_error *error) I4Q_MUST_CHECK;

/* The set of operators that --op-types names. I4Q_USAGE: a word that is none. */
bool i4q_rewrite_ops(const struct i4q_rewrite_arguments *arguments, unsigned *ops,
                     struct i4q_error *error) I4Q_MUST_CHECK;

#endif

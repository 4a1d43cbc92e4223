// SPDX-License-Identifier: Apache-2.0
/* --choices: the recipes of a mixture. */
#ifndef INT4Q_CLI_REWRITE_CHOICES_H
#define INT4Q_CLI_REWRITE_CHOICES_H

#include "cli/rewrite_options.h"
#include "plan/mixture.h"

/* Whether weights are to get one of several recipes each. */
bool i4q_rewrite_mixes(const struct i4q_rewrite_arguments *arguments);

/* The recipes that the words of --choices name, or those that are usual for the target, whose method and form
 * they have: at most I4Q_OFFERS. A word is a format, its bits, or float; ':32' behind it: a scale for each 32
 * weights. I4Q_USAGE: another word, one that the form has no room for, or nothing to store. */
bool i4q_rewrite_choices(const struct i4q_rewrite_arguments *arguments, const struct i4q_recipe *target,
                         struct i4q_recipe *choices, size_t *count, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

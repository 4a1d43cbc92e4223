// SPDX-License-Identifier: Apache-2.0
/* The files that the arguments of a run name. */
#ifndef INT4Q_CLI_FILES_H
#define INT4Q_CLI_FILES_H

#include "cli/options.h"
#include "platform/beneath.h"

/* Sets common->files. What one run reads or writes are different files, by whatever name, but for a model
 * that is rewritten in place; no output is a link to an open file; standard input is read once. I4Q_USAGE
 * otherwise. Part of i4q_cli_parse. */
bool i4q_cli_check_files(const struct i4q_command *command, void *arguments,
                         struct i4q_error *error) I4Q_MUST_CHECK;

/* The same of a model's data files, which are known when it is loaded: no output is one of them (I4Q_USAGE),
 * unless the model itself is replaced. */
bool i4q_cli_check_data(const struct i4q_common *common, const struct i4q_external *data,
                        struct i4q_error *error) I4Q_MUST_CHECK;

/* Lets the process use only the files that its arguments name from here on; see sandbox.h. To be called
 * before anything is read. */
void i4q_cli_enter_sandbox(const struct i4q_command *command, const void *arguments);

/* Whether a path stands for standard input or output. */
bool i4q_is_dash(const char *path);

/* How messages call a file that is read from or written to, "-" among them. */
const char *i4q_cli_input_name(const char *path);
const char *i4q_cli_output_name(const char *path);

#endif

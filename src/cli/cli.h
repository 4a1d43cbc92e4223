// SPDX-License-Identifier: Apache-2.0
/*
 * The command line: commands with tables of options, from which parsing and help follow. Names of options
 * must be given in full, since an abbreviation that is unique today may not be tomorrow.
 */
#ifndef INT4Q_CLI_CLI_H
#define INT4Q_CLI_CLI_H

#include "base/json.h"
#include "cli/files.h"
#include "cli/options.h"
#include "platform/output.h"

/* Reads argv (without the command's name) into `arguments`, whose first member is a struct i4q_common with
 * its arena set. Errors are I4Q_USAGE. With --help the rest is not looked at. */
bool i4q_cli_parse(const struct i4q_command *command, int argc, char **argv, void *arguments,
                   struct i4q_error *error) I4Q_MUST_CHECK;

/* A whole decimal number; `what` names it in the error (I4Q_USAGE). */
bool i4q_cli_number(const char *what, const char *text, size_t *value,
                    struct i4q_error *error) I4Q_MUST_CHECK;

/* All words of a table, with this between them; cut off where the list is full. */
void i4q_cli_list(i4q_word_fn *words, const char *separator, char *list, size_t size);

/* Whether the report is a table of all Convs. */
bool i4q_cli_wants_table(const struct i4q_common *common);

/* Threads to use; 0: one a processor. */
unsigned i4q_cli_threads(const struct i4q_common *common);

/* Writes a JSON document, which it takes, to an open output. */
bool i4q_cli_write_json(struct i4q_output *output, json_t *document, struct i4q_error *error) I4Q_MUST_CHECK;

/* The model has been written to `path`: an error that comes after says so. */
void i4q_cli_has_written(const char *path);

/* Reports an error, about error->file or else about `subject`, and gives the exit status for it. */
int i4q_cli_fail(const char *subject, const struct i4q_error *error);

/* What a command does with its arguments, which lie where i4q_cli_parse puts them. */
struct i4q_work {
    void *arguments;
    bool (*carry_out)(void *run); /* behind the sandbox; false: `error` tells why */
    void *run;
    const char *const *subject; /* what an error is about, at that time */
    struct i4q_error *error;
};

/* Reads argv, shows the help or carries out the work, and reports its error while all is there that the error
 * may speak of. Gives the exit status. */
int i4q_cli_work(const struct i4q_command *command, int argc, char **argv, const struct i4q_work *work);

/* Flushes standard output; its errors (a full disk, say) are errors of the command. Gives the exit status. */
int i4q_cli_finish(int status);

#endif

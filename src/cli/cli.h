// SPDX-License-Identifier: Apache-2.0
/*
 * The command line: commands with tables of options, from which parsing and help follow. Names of options
 * must be given in full, since an abbreviation that is unique today may not be tomorrow.
 */
#ifndef INT4Q_CLI_CLI_H
#define INT4Q_CLI_CLI_H

#include "base/error.h"
#include "base/json.h"
#include "plan/patterns.h"
#include "platform/beneath.h"
#include "platform/output.h"

#include <stddef.h>

/* What an option does to the field of the command's arguments at its offset. */
enum i4q_option_kind {
    I4Q_OPTION_FLAG,   /* bool: true */
    I4Q_OPTION_STRING, /* const char *: the value; the last one counts */
    I4Q_OPTION_NUMBER, /* struct i4q_number */
    I4Q_OPTION_LIST,   /* struct i4q_patterns: one more */
    I4Q_OPTION_WORD,   /* struct i4q_word: one of the option's words */
};

/* What the value of an option names: what the sandbox lets through, and what must not be replaced. */
enum i4q_option_file {
    I4Q_FILE_NONE,
    I4Q_FILE_INPUT,      /* a file that is read */
    I4Q_FILE_MODEL,      /* a model, whose external data lies beside it */
    I4Q_FILE_OUTPUT,     /* a file that is made or replaced */
    I4Q_FILE_RESULT,     /* the same: the model that is made, which may take the place of MODEL */
    I4Q_FILE_DATA,       /* where the result's data goes: see onnx/save.h */
    I4Q_FILE_EVERYWHERE, /* a flag: files may be read from anywhere */
};

struct i4q_number {
    bool given;
    size_t value;
};

struct i4q_word {
    const char *word; /* NULL: not given */
    size_t index;     /* of it; 0, the default, if not given */
};

/* Word `index` of a table, NULL behind the last. */
typedef const char *i4q_word_fn(size_t index);

struct i4q_option {
    char letter; /* 0: none */
    const char *name;
    const char *argument; /* how help calls the value; NULL: takes none */
    enum i4q_option_kind kind;
    size_t offset; /* of the field */
    const char *help;
    enum i4q_option_file file;
    i4q_word_fn *words; /* the default first: values of a WORD, suggestions otherwise */
};

/* The files that the arguments of a run name, and which they are; in its arena. */
struct i4q_named_files;

/* A command's arguments begin with these. */
struct i4q_common {
    struct i4q_arena *arena;             /* for lists */
    const struct i4q_named_files *files; /* set by i4q_cli_parse */
    const char *model;                   /* the operand */
    bool help, quiet, verbose, progress, no_progress, no_sandbox;
    struct i4q_number threads;
};

/* Rows of every command's table. */
// clang-format off
#define I4Q_COMMON_OPTIONS                                                                                     \
    {'j', "threads", "N", I4Q_OPTION_NUMBER, offsetof(struct i4q_common, threads),                             \
     "use N threads (default: one a processor); what is written never depends on it"},                         \
    {'q', "quiet", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, quiet), "print errors only"},            \
    {'v', "verbose", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, verbose), "tell more on standard error"}, \
    {0, "progress", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, progress), "show a bar, even where standard error is no terminal"}, \
    {0, "no-progress", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, no_progress), "show no bar"},        \
    {0, "no-sandbox", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, no_sandbox), "keep the right to open any file, where a sandbox is in the way"}, \
    {'h', "help", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, help), "print this text"}
// clang-format on

struct i4q_command {
    const char *name;
    const char *summary;              /* one line */
    const struct i4q_option *options; /* ends with a row without a name */
    const char *description;          /* one paragraph, without line breaks */
    const char *const *examples;      /* command lines; ends with NULL */
    int (*run)(const struct i4q_command *command, int argc, char **argv); /* gives the exit status */
};

extern const struct i4q_command i4q_cmd_rewrite, i4q_cmd_inspect, i4q_cmd_restore;

/* What there is to say of the whole program. Tables end with a row without a name, or NULL. */
struct i4q_term {
    const char *name, *meaning;
};
extern const struct i4q_command *const i4q_commands[];
extern const struct i4q_term i4q_exit_statuses[], i4q_environment[];

/* Reads argv (without the command's name) into `arguments`, whose first member is a struct i4q_common with
 * its arena set. Errors are I4Q_USAGE. With --help the rest is not looked at. */
bool i4q_cli_parse(const struct i4q_command *command, int argc, char **argv, void *arguments,
                   struct i4q_error *error) I4Q_MUST_CHECK;

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

/* Prints the help of a command to standard output. */
void i4q_cli_help(const struct i4q_command *command);

/* A whole decimal number; `what` names it in the error (I4Q_USAGE). */
bool i4q_cli_number(const char *what, const char *text, size_t *value,
                    struct i4q_error *error) I4Q_MUST_CHECK;

/* All words of a table, with this between them; cut off where the list is full. */
void i4q_cli_list(i4q_word_fn *words, const char *separator, char *list, size_t size);

/* Threads to use; 0: one a processor. */
unsigned i4q_cli_threads(const struct i4q_common *common);

/* Writes a JSON document, which it takes, to an open output. */
bool i4q_cli_write_json(struct i4q_output *output, json_t *document, struct i4q_error *error) I4Q_MUST_CHECK;

/* The model has been written to `path`: an error that comes after says so. */
void i4q_cli_has_written(const char *path);

/* Reports an error, about error->file or else about `subject`, and gives the exit status for it. */
int i4q_cli_fail(const char *subject, const struct i4q_error *error);

/* Whether a path stands for standard input or output. */
bool i4q_is_dash(const char *path);

/* How messages call a file that is read from or written to, "-" among them. */
const char *i4q_cli_input_name(const char *path);
const char *i4q_cli_output_name(const char *path);

/* Flushes standard output; its errors (a full disk, say) are errors of the command. Gives the exit status. */
int i4q_cli_finish(int status);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Commands and their tables of options, and what arguments become. */
#ifndef INT4Q_CLI_OPTIONS_H
#define INT4Q_CLI_OPTIONS_H

#include "base/error.h"
#include "plan/patterns.h"

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
    bool help, quiet, verbose, table, summary, progress, no_progress, no_sandbox;
    struct i4q_number threads;
};

/* Rows of every command's table. */
// clang-format off
#define I4Q_COMMON_OPTIONS                                                                                     \
    {'h', "help", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, help), "print this text"},                \
    {0, "table", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, table), "tell of every Conv, a line each"}, \
    {0, "summary", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, summary), "tell of stages and totals (the default without -v)"}, \
    {'q', "quiet", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, quiet), "print errors only"},            \
    {'v', "verbose", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, verbose), "tell more on standard error, and the table of --table"}, \
    {0, "progress", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, progress), "show a bar, even where standard error is no terminal"}, \
    {0, "no-progress", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, no_progress), "show no bar"},        \
    {'j', "threads", "N", I4Q_OPTION_NUMBER, offsetof(struct i4q_common, threads),                             \
     "use N threads (default: one a processor); what is written never depends on it"},                         \
    {0, "no-sandbox", NULL, I4Q_OPTION_FLAG, offsetof(struct i4q_common, no_sandbox), "keep the right to open any file, where a sandbox is in the way"}

#define I4Q_COMMON_GROUP {"what is told, and how it runs", "help"}
// clang-format on

/* A heading of help, over the option called `first` and those behind it. */
struct i4q_option_group {
    const char *title, *first;
};

struct i4q_command {
    const char *name;
    const char *summary;                   /* one line */
    const struct i4q_option *options;      /* ends with a row without a name */
    const struct i4q_option_group *groups; /* in the order of the options; ends without a title */
    const char *description;               /* one paragraph, without line breaks */
    const char *const *examples;           /* command lines; ends with NULL */
    int (*run)(const struct i4q_command *command, int argc, char **argv); /* gives the exit status */
};

/* The heading over an option, NULL: it has none of its own. */
const char *i4q_option_title(const struct i4q_command *command, const struct i4q_option *option);

/* The one that an OUTPUT behind MODEL stands for, NULL: the command has none. */
const struct i4q_option *i4q_option_output(const struct i4q_command *command);

/* Each in its file. */
extern const struct i4q_command i4q_cmd_rewrite, i4q_cmd_inspect, i4q_cmd_restore;

#endif

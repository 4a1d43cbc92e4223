// SPDX-License-Identifier: Apache-2.0
/* What the arguments of a command name: which files it may use, and which it must not replace. */
#include "cli/cli.h"

#include "platform/sandbox.h"
#include "platform/terminal.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct named_file {
    const struct i4q_option *option; /* NULL: MODEL */
    enum i4q_option_file file;
    const char *path;
};

typedef bool file_fn(void *context, const struct named_file *named);

/* The files of one option; false as soon as `each` is false. */
static bool each_of_option(const struct i4q_option *option, const void *arguments, file_fn *each,
                           void *context)
{
    const void *field = (const char *)arguments + option->offset;
    struct named_file named = {option, option->file, NULL};
    if (option->kind == I4Q_OPTION_STRING && (named.path = *(const char *const *)field))
        return each(context, &named);
    const struct i4q_patterns *list = field;
    for (size_t i = 0; option->kind == I4Q_OPTION_LIST && i < list->count; i++) {
        named.path = list->items[i];
        if (!each(context, &named))
            return false;
    }
    return true;
}

static bool each_file(const struct i4q_command *command, const void *arguments, file_fn *each, void *context)
{
    const struct i4q_common *common = arguments;
    const struct named_file model = {NULL, I4Q_FILE_MODEL, common->model};
    bool ok = each(context, &model);
    for (const struct i4q_option *option = command->options; ok && option->name; option++)
        ok = !option->file || each_of_option(option, arguments, each, context);
    return ok;
}

/* ---- files that would be replaced */

struct check {
    const struct i4q_command *command;
    const void *arguments;
    const struct named_file *output;
    unsigned dashes; /* inputs that are standard input */
    struct i4q_error *error;
};

static bool is_dash(const char *path)
{
    return strcmp(path, "-") == 0;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether both are one name in one directory, also of what does not exist yet. */
static bool same_name(const char *a, const char *b)
{
    char *x = strdup(a), *y = strdup(b);
    bool same = x && y && strcmp(basename(x), basename(y)) == 0 && same_file(dirname(x), dirname(y));
    free(x);
    free(y);
    return same;
}

/* A model may be rewritten in place. Any number of outputs may go to one pipe or device. */
static bool is_other_file(void *context, const struct named_file *named)
{
    const struct check *check = context;
    const struct named_file *output = check->output;
    struct stat status;
    bool special = stat(output->path, &status) == 0 && !S_ISREG(status.st_mode);
    bool in_place = !named->option && output->option->letter == 'o';
    if (named->option == output->option || special || in_place || is_dash(named->path) ||
        !(same_name(output->path, named->path) || same_file(output->path, named->path)))
        return true;
    return i4q_fail(check->error, I4Q_USAGE, "--%s %s is also %s%s", output->option->name, output->path,
                    named->option ? "--" : "", named->option ? named->option->name : "MODEL");
}

/* Whether it is one of the links in /dev and /proc that stand for descriptors, and leads to a file: then that
 * link would be replaced, by whoever may, rather than the file written to. */
static bool is_descriptor(const char *path)
{
    struct stat link, file;
    char *copy = strdup(path), *folder = copy ? realpath(dirname(copy), NULL) : NULL;
    bool is = folder && (strcmp(folder, "/dev") == 0 || strncmp(folder, "/proc/", 6) == 0) &&
              lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && stat(path, &file) == 0 &&
              S_ISREG(file.st_mode);
    free(folder);
    free(copy);
    return is;
}

static bool check_output(struct check *check, const struct named_file *named)
{
    check->output = named;
    if (is_dash(named->path))
        return true;
    if (is_descriptor(named->path))
        return i4q_fail(check->error, I4Q_USAGE,
                        "--%s %s leads to a file that is open already; '-' is standard output",
                        named->option->name, named->path);
    return each_file(check->command, check->arguments, is_other_file, check);
}

static bool check_file(void *context, const struct named_file *named)
{
    struct check *check = context;
    if (named->file == I4Q_FILE_OUTPUT)
        return check_output(check, named);
    check->dashes += is_dash(named->path);
    return check->dashes < 2 || i4q_fail(check->error, I4Q_USAGE, "standard input can be read only once");
}

bool i4q_cli_check_files(const struct i4q_command *command, const void *arguments, struct i4q_error *error)
{
    struct check check = {.command = command, .arguments = arguments, .error = error};
    return each_file(command, arguments, check_file, &check);
}

/* ---- sandbox */

/* A file that is to appear needs its directory; what is no regular file is written to as it is. */
static bool allow_file(void *sandbox, const struct named_file *named)
{
    struct stat status;
    char *copy = is_dash(named->path) ? NULL : strdup(named->path);
    if (!copy)
        return true;
    bool special = stat(named->path, &status) == 0 && !S_ISREG(status.st_mode);
    if (named->file != I4Q_FILE_OUTPUT)
        i4q_sandbox_allow(sandbox, named->path, I4Q_ACCESS_READ);
    if (named->file == I4Q_FILE_MODEL)
        i4q_sandbox_allow(sandbox, dirname(copy), I4Q_ACCESS_READ);
    if (named->file == I4Q_FILE_OUTPUT && special)
        i4q_sandbox_allow(sandbox, named->path, I4Q_ACCESS_WRITE);
    else if (named->file == I4Q_FILE_OUTPUT)
        i4q_sandbox_allow(sandbox, dirname(copy), I4Q_ACCESS_DIRECTORY);
    free(copy);
    return true;
}

void i4q_cli_enter_sandbox(const struct i4q_command *command, const void *arguments)
{
    const struct i4q_common *common = arguments;
    struct i4q_sandbox sandbox;
    if (common->no_sandbox || !I4Q_HAS_SANDBOX)
        return;
    i4q_sandbox_begin(&sandbox);
    i4q_sandbox_allow(&sandbox, "/dev/urandom", I4Q_ACCESS_READ); /* for jansson's hash tables */
    (void)each_file(command, arguments, allow_file, &sandbox);
    for (const struct i4q_option *option = command->options; option->name; option++)
        if (option->file == I4Q_FILE_EVERYWHERE && *((const bool *)arguments + option->offset))
            i4q_sandbox_allow(&sandbox, "/", I4Q_ACCESS_READ);
    i4q_log_verbose("%s", i4q_sandbox_enter(&sandbox));
}

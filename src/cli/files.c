// SPDX-License-Identifier: Apache-2.0
/* What the arguments of a command name: which files it may use, and which it must not replace. */
#include "cli/files.h"

#include "onnx/save.h"
#include "platform/identity.h"
#include "platform/sandbox.h"
#include "platform/terminal.h"

#include <string.h>

struct named_file {
    const struct i4q_option *option; /* NULL: MODEL, or standard output */
    enum i4q_option_file kind;
    const char *label, *path; /* how messages call it; no path: standard output */
    struct i4q_identity identity;
};

/* Everything that a run reads or writes, as far as its arguments tell: MODEL first, standard output last. */
struct i4q_named_files {
    struct named_file *items;
    size_t count;
};

static bool is_output(const struct named_file *file)
{
    return file->kind == I4Q_FILE_OUTPUT || file->kind == I4Q_FILE_RESULT || file->kind == I4Q_FILE_DATA;
}

/* ---- names */

bool i4q_is_dash(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

const char *i4q_cli_input_name(const char *path)
{
    return i4q_is_dash(path) ? "standard input" : path;
}

const char *i4q_cli_output_name(const char *path)
{
    return i4q_is_dash(path) ? "standard output" : path;
}

/* ---- the files of the arguments */

struct collector {
    const struct i4q_command *command;
    const void *arguments;
    struct i4q_arena *arena;
    struct i4q_named_files *files;
    struct i4q_error *error;
};

static const void *field_of(const struct collector *collector, const struct i4q_option *option)
{
    return (const char *)collector->arguments + option->offset;
}

static const char *label_of(struct collector *collector, const struct i4q_option *option)
{
    if (!option)
        return "MODEL";
    return option->file == I4Q_FILE_DATA ? "the data file"
                                         : i4q_arena_format(collector->arena, "--%s", option->name);
}

static bool add_file(struct collector *collector, const struct i4q_option *option, const char *path)
{
    struct named_file file = {.option = option, .kind = option ? option->file : I4Q_FILE_MODEL, .path = path};
    file.label = label_of(collector, option);
    if (!file.label)
        return i4q_fail_memory(collector->error);
    if (!*path)
        return i4q_fail(collector->error, I4Q_USAGE, "%s: the name is empty", file.label);
    if (i4q_is_dash(path) && is_output(&file))
        return true; /* standard output is there anyway */
    if (i4q_is_dash(path) ? !i4q_identify_stdin(&file.identity) : !i4q_identify(&file.identity, path))
        return i4q_fail_errno(collector->error, "%s: cannot look at '%s'", file.label, path);
    collector->files->items[collector->files->count++] = file;
    return true;
}

/* The result may come to have a data file; what that would be called is taken. */
static bool add_data(struct collector *collector, const struct i4q_option *option, const char *external)
{
    const struct i4q_option *result = collector->command->options;
    while (result->file != I4Q_FILE_RESULT)
        result++;
    const char *path = *(const char *const *)field_of(collector, result);
    char *data;
    if (!i4q_layout_check(path, external, collector->error))
        return false;
    if (!i4q_layout_data_path(collector->arena, path, external, &data))
        return i4q_fail_memory(collector->error);
    return !data || add_file(collector, option, data);
}

static bool add_option(struct collector *collector, const struct i4q_option *option)
{
    const void *field = field_of(collector, option);
    const struct i4q_patterns *list = field;
    if (option->kind == I4Q_OPTION_STRING) {
        const char *text = *(const char *const *)field;
        return !text || (option->file == I4Q_FILE_DATA ? add_data : add_file)(collector, option, text);
    }
    for (size_t i = 0; option->kind == I4Q_OPTION_LIST && i < list->count; i++)
        if (!add_file(collector, option, list->items[i]))
            return false;
    return true;
}

static size_t count_most(const struct collector *collector)
{
    size_t count = 2; /* MODEL, standard output */
    for (const struct i4q_option *option = collector->command->options; option->name; option++) {
        const struct i4q_patterns *list = field_of(collector, option);
        count += option->kind == I4Q_OPTION_LIST ? list->count : 1;
    }
    return count;
}

/* NULL: the error tells why. */
static const struct i4q_named_files *collect(struct collector *collector)
{
    struct i4q_named_files *files = i4q_arena_alloc(collector->arena, 1, sizeof *files);
    if (files)
        files->items = i4q_arena_alloc(collector->arena, count_most(collector), sizeof *files->items);
    if (!files || !files->items) {
        i4q_fail_memory(collector->error);
        return NULL;
    }
    collector->files = files;
    bool ok = add_file(collector, NULL, ((const struct i4q_common *)collector->arguments)->model);
    for (const struct i4q_option *option = collector->command->options; ok && option->name; option++)
        ok = !option->file || add_option(collector, option);
    struct named_file out = {.kind = I4Q_FILE_OUTPUT, .label = "standard output"};
    if (!i4q_identify_stdout(&out.identity))
        ok = i4q_fail_errno(collector->error, "cannot look at standard output");
    files->items[files->count++] = out;
    return ok ? files : NULL;
}

/* ---- files that would be replaced */

/* "--json x is also MODEL" */
static bool is_also(const struct named_file *output, const char *other, struct i4q_error *error)
{
    return i4q_fail(error, I4Q_USAGE, "%s%s%s is also %s", output->label, output->path ? " " : "",
                    output->path ? output->path : "", other);
}

/* A model may be rewritten in place. Any number of outputs may go to one pipe or device. */
static bool collide(const struct named_file *output, const struct named_file *other)
{
    bool in_place = output->kind == I4Q_FILE_RESULT && !other->option && other->path;
    return output != other && !output->identity.is_special && !in_place &&
           i4q_same_file(&output->identity, &other->identity);
}

static bool check_output(const struct i4q_named_files *files, const struct named_file *output,
                         struct i4q_error *error)
{
    if (output->path && i4q_is_descriptor(output->path))
        return i4q_fail(error, I4Q_USAGE,
                        "%s %s leads to a file that is open already; '-' is standard output", output->label,
                        output->path);
    for (size_t i = 0; i < files->count; i++)
        if (collide(output, &files->items[i]))
            return is_also(output, files->items[i].label, error);
    return true;
}

bool i4q_cli_check_files(const struct i4q_command *command, void *arguments, struct i4q_error *error)
{
    struct i4q_common *common = arguments;
    struct collector collector = {command, arguments, common->arena, NULL, error};
    unsigned dashes = 0; /* inputs that are standard input */
    common->files = collect(&collector);
    if (!common->files)
        return false;
    for (size_t i = 0; i < common->files->count; i++) {
        const struct named_file *file = &common->files->items[i];
        dashes += file->path && i4q_is_dash(file->path);
        if (is_output(file) && !check_output(common->files, file, error))
            return false;
    }
    return dashes < 2 || i4q_fail(error, I4Q_USAGE, "standard input can be read only once");
}

/* Whether the result takes the very place of the model: then the model's data may go as well. Through a link
 * it does not: the file that the link leads to stays, and needs its data. */
static bool is_in_place(const struct i4q_named_files *files)
{
    const struct named_file *model = files->items;
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].kind == I4Q_FILE_RESULT)
            return i4q_same_place(&files->items[i].identity, &model->identity) && !model->identity.is_link;
    return false;
}

bool i4q_cli_check_data(const struct i4q_common *common, const struct i4q_external *data,
                        struct i4q_error *error)
{
    bool in_place = is_in_place(common->files);
    for (size_t i = 0; i < common->files->count; i++) {
        const struct named_file *file = &common->files->items[i];
        bool may_go = in_place && (file->kind == I4Q_FILE_RESULT || file->kind == I4Q_FILE_DATA);
        for (size_t f = 0; is_output(file) && !may_go && f < data->n_files; f++)
            if (i4q_same_inode(&file->identity.file, &data->files[f].inode))
                return is_also(file, "a data file of the model", error);
    }
    return true;
}

/* ---- sandbox */

/* A file that is to appear needs its directory; what is no regular file is written to as it is. */
static void allow_file(struct i4q_sandbox *sandbox, const struct named_file *file)
{
    bool is_written = is_output(file), is_special = file->identity.is_special;
    if (!file->path || i4q_is_dash(file->path))
        return;
    if (!is_written || is_special)
        i4q_sandbox_allow(sandbox, file->path, is_written ? I4Q_ACCESS_WRITE : I4Q_ACCESS_READ);
    if (file->kind == I4Q_FILE_MODEL)
        i4q_sandbox_allow_folder(sandbox, file->path, I4Q_ACCESS_READ);
    if (is_written && !is_special)
        i4q_sandbox_allow_folder(sandbox, file->path, I4Q_ACCESS_DIRECTORY);
}

void i4q_cli_enter_sandbox(const struct i4q_command *command, const void *arguments)
{
    const struct i4q_common *common = arguments;
    struct i4q_sandbox sandbox;
    if (common->no_sandbox || !I4Q_HAS_SANDBOX)
        return;
    i4q_sandbox_begin(&sandbox);
    i4q_sandbox_allow(&sandbox, "/dev/urandom", I4Q_ACCESS_READ); /* for jansson's hash tables */
    for (size_t i = 0; i < common->files->count; i++)
        allow_file(&sandbox, &common->files->items[i]);
    for (const struct i4q_option *option = command->options; option->name; option++)
        if (option->file == I4Q_FILE_EVERYWHERE && *((const bool *)arguments + option->offset))
            i4q_sandbox_allow(&sandbox, "/", I4Q_ACCESS_READ);
    i4q_log_verbose("%s", i4q_sandbox_enter(&sandbox));
}

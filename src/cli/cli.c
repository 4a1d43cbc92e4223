// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include "base/suggest.h"
#include "platform/terminal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values */

bool i4q_cli_number(const char *what, const char *text, size_t *value, struct i4q_error *error)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    /* strtoull would take a sign and blanks as well. */
    if (!isdigit((unsigned char)*text) || *end || errno || number > SIZE_MAX / 2)
        return i4q_fail(error, I4Q_USAGE, "%s: '%s' is not a whole number", what, text);
    *value = (size_t)number;
    return true;
}

void i4q_cli_list(i4q_word_fn *words, const char *separator, char *list, size_t size)
{
    size_t used = 0;
    *list = '\0';
    for (size_t i = 0; words(i) && used < size; i++)
        used += (size_t)snprintf(list + used, size - used, "%s%s", i ? separator : "", words(i));
}

/* The number that a word ends with, or its end. */
static const char *number_of(const char *word)
{
    const char *at = word + strlen(word);
    while (at > word && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return at;
}

/* Who asks for int3 means 3 bits, so packed3 rather than int4: a word with that number comes before one that
 * is nearer in letters. */
static const char *find_meant(const struct i4q_option *option, const char *value, const char *near)
{
    const char *number = number_of(value);
    for (size_t i = 0; *number && strcmp(number_of(near), number) != 0 && option->words(i); i++)
        if (strcmp(number_of(option->words(i)), number) == 0)
            return option->words(i);
    return near;
}

/* One of the words; the error lists them, and where they are many it tells which is near. */
static bool set_word(const struct i4q_option *option, struct i4q_word *chosen, const char *value,
                     struct i4q_error *error)
{
    enum { MANY = 6 };
    char list[256], meant[64] = "";
    struct i4q_suggestion near = {.word = value};
    size_t count = 0;
    for (; option->words(count); count++) {
        if (strcmp(option->words(count), value) == 0) {
            *chosen = (struct i4q_word){value, count};
            return true;
        }
        i4q_suggest(&near, option->words(count));
    }
    if (near.found && count > MANY)
        snprintf(meant, sizeof meant, ": did you mean '%s'?", find_meant(option, value, near.found));
    i4q_cli_list(option->words, ", ", list, sizeof list);
    return i4q_fail(error, I4Q_USAGE, "--%s: '%s' is none of %s%s", option->name, value, list, meant);
}

static bool set_option(const struct i4q_option *option, void *arguments, const char *value,
                       struct i4q_error *error)
{
    void *field = (char *)arguments + option->offset;
    struct i4q_number *number = field;
    char what[64];
    switch (option->kind) {
    case I4Q_OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case I4Q_OPTION_STRING:
        *(const char **)field = value;
        return true;
    case I4Q_OPTION_NUMBER:
        snprintf(what, sizeof what, "--%s", option->name);
        number->given = true;
        return i4q_cli_number(what, value, &number->value, error);
    case I4Q_OPTION_LIST:
        return i4q_patterns_add(((struct i4q_common *)arguments)->arena, field, value) ||
               i4q_fail_memory(error);
    case I4Q_OPTION_WORD:
        return set_word(option, field, value, error);
    }
    return false;
}

/* ---- parsing */

struct parser {
    const struct i4q_command *command;
    char **argv;
    int argc, at;
    void *arguments;
    struct i4q_error *error;
    unsigned outputs; /* how the output was named */
};

enum { BY_OPTION = 1, BY_OPERAND = 2 };

static bool is_output(const struct i4q_option *option)
{
    return strcmp(option->name, "output") == 0;
}

const struct i4q_option *i4q_option_output(const struct i4q_command *command)
{
    for (const struct i4q_option *option = command->options; option->name; option++)
        if (is_output(option))
            return option;
    return NULL;
}

static bool take_value(struct parser *parser, const struct i4q_option *option, const char *shown,
                       const char *attached)
{
    if (!option->argument) {
        if (attached)
            return i4q_fail(parser->error, I4Q_USAGE, "option '%s' takes no value", shown);
        return set_option(option, parser->arguments, "", parser->error);
    }
    if (!attached && parser->at == parser->argc)
        return i4q_fail(parser->error, I4Q_USAGE, "option '%s' needs a value (%s)", shown, option->argument);
    parser->outputs |= is_output(option) ? BY_OPTION : 0;
    return set_option(option, parser->arguments, attached ? attached : parser->argv[parser->at++],
                      parser->error);
}

static bool fail_unknown(struct parser *parser, const char *shown)
{
    struct i4q_suggestion near = {.word = shown + 2};
    for (const struct i4q_option *option = parser->command->options; option->name; option++)
        i4q_suggest(&near, option->name);
    if (near.found)
        return i4q_fail(parser->error, I4Q_USAGE, "unknown option '%s': did you mean '--%s'?", shown,
                        near.found);
    return i4q_fail(parser->error, I4Q_USAGE, "unknown option '%s'", shown);
}

/* --name, --name=value, --name value */
static bool parse_long(struct parser *parser, const char *word)
{
    size_t length = strcspn(word + 2, "=");
    const char *value = word[2 + length] ? word + 2 + length + 1 : NULL;
    char shown[64];
    snprintf(shown, sizeof shown, "--%.*s", (int)length, word + 2);
    for (size_t i = 0; parser->command->options[i].name; i++) {
        const struct i4q_option *option = &parser->command->options[i];
        if (strlen(option->name) == length && memcmp(option->name, word + 2, length) == 0)
            return take_value(parser, option, shown, value);
    }
    return fail_unknown(parser, shown);
}

/* -f, -fn, -oFILE, -o FILE */
static bool parse_letters(struct parser *parser, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const struct i4q_option *option = NULL;
        const char shown[] = {'-', *letter, '\0'};
        for (size_t i = 0; parser->command->options[i].name && !option; i++)
            if (parser->command->options[i].letter == *letter)
                option = &parser->command->options[i];
        if (!option)
            return i4q_fail(parser->error, I4Q_USAGE, "unknown option '%s'", shown);
        const char *attached = option->argument && letter[1] ? letter + 1 : NULL;
        if (!take_value(parser, option, shown, attached))
            return false;
        if (attached)
            break;
    }
    return true;
}

/* MODEL, then what --output names where the command has it. */
static bool parse_operand(struct parser *parser, const char *word)
{
    struct i4q_common *common = parser->arguments;
    const struct i4q_option *output = i4q_option_output(parser->command);
    if (!common->model) {
        common->model = word;
        return true;
    }
    if (!output)
        return i4q_fail(parser->error, I4Q_USAGE, "more than one MODEL: '%s' and '%s'", common->model, word);
    if (parser->outputs & BY_OPERAND)
        return i4q_fail(parser->error, I4Q_USAGE, "'%s' is neither MODEL nor OUTPUT, both are given", word);
    parser->outputs |= BY_OPERAND;
    return set_option(output, parser->arguments, word, parser->error);
}

bool i4q_cli_parse(const struct i4q_command *command, int argc, char **argv, void *arguments,
                   struct i4q_error *error)
{
    struct parser parser = {command, argv, argc, 0, arguments, error, 0};
    struct i4q_common *common = arguments;
    bool ended = false; /* by "--" */
    while (parser.at < argc && !common->help) {
        const char *word = argv[parser.at++];
        bool ok = true;
        if (!ended && strcmp(word, "--") == 0)
            ended = true;
        else if (ended || word[0] != '-' || !word[1])
            ok = parse_operand(&parser, word);
        else
            ok = word[1] == '-' ? parse_long(&parser, word) : parse_letters(&parser, word);
        if (!ok)
            return false;
    }
    if (!common->model && !common->help)
        return i4q_fail(error, I4Q_USAGE, "no MODEL given; 'int4q %s --help' tells how", command->name);
    if (parser.outputs == (BY_OPTION | BY_OPERAND))
        return i4q_fail(error, I4Q_USAGE, "the output is named twice: by --output and behind MODEL");
    if (common->progress && common->no_progress)
        return i4q_fail(error, I4Q_USAGE, "--progress and --no-progress exclude each other");
    if (common->table && common->summary)
        return i4q_fail(error, I4Q_USAGE, "--table and --summary exclude each other");
    i4q_log_set_progress(common->progress      ? I4Q_PROGRESS_ON
                         : common->no_progress ? I4Q_PROGRESS_OFF
                                               : I4Q_PROGRESS_AUTO);
    i4q_log_set_verbosity(common->quiet ? I4Q_QUIET : common->verbose ? I4Q_VERBOSE : I4Q_NORMAL);
    return common->help || i4q_cli_check_files(command, arguments, error);
}

/* ---- help */

enum { HELP_COLUMN = 28, HELP_WIDTH = 100 };

/* The text, wrapped, from the column `indent` on; the cursor stands at `column`. */
static void print_wrapped(const char *text, int indent, int column)
{
    if (column && column >= indent - 1) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", indent - column, "");
    column = indent;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + length >= HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        column += printf("%s%.*s", column > indent ? " " : "", length, text);
        text += length + (text[length] == ' ');
    }
    putchar('\n');
}

bool i4q_cli_wants_table(const struct i4q_common *common)
{
    return common->table || (common->verbose && !common->summary);
}

unsigned i4q_cli_threads(const struct i4q_common *common)
{
    return common->threads.value > UINT_MAX ? UINT_MAX : (unsigned)common->threads.value;
}

const char *i4q_option_title(const struct i4q_command *command, const struct i4q_option *option)
{
    for (const struct i4q_option_group *group = command->groups; group && group->title; group++)
        if (strcmp(group->first, option->name) == 0)
            return group->title;
    return NULL;
}

static void print_help(const struct i4q_command *command)
{
    printf("usage: int4q %s MODEL%s [options]\n\n%s\nMODEL may be '-', standard input.\n", command->name,
           i4q_option_output(command) ? " [OUTPUT]" : "", command->summary);
    for (size_t i = 0; command->options[i].name; i++) {
        const struct i4q_option *option = &command->options[i];
        const char *title = i4q_option_title(command, option);
        if (title)
            printf("\n%s:\n", title);
        int column = option->letter ? printf("  -%c, ", option->letter) : printf("      ");
        column += printf("--%s%s%s", option->name, option->argument ? " " : "",
                         option->argument ? option->argument : "");
        print_wrapped(option->help, HELP_COLUMN, column);
    }
    putchar('\n');
    print_wrapped(command->description, 0, 0);
    printf("\nexamples:\n");
    for (size_t i = 0; command->examples[i]; i++)
        printf("  %s\n", command->examples[i]);
}

/* ---- ending */

bool i4q_cli_write_json(struct i4q_output *output, json_t *document, struct i4q_error *error)
{
    char *text = i4q_json_print(document, error);
    if (!text)
        return false;
    i4q_output_append(output, text, strlen(text));
    i4q_output_append(output, "\n", 1);
    free(text);
    return i4q_output_commit(output, error);
}

static const char *written; /* where the model is; NULL: nowhere yet */

void i4q_cli_has_written(const char *path)
{
    written = i4q_cli_output_name(path);
}

static void report(const char *subject, const char *message)
{
    i4q_log_error("%s: %s%s%s", subject, message, written ? "; the model is written: " : "",
                  written ? written : "");
}

int i4q_cli_fail(const char *subject, const struct i4q_error *error)
{
    report(error->file ? i4q_cli_input_name(error->file) : subject, error->message);
    return (int)error->code;
}

int i4q_cli_work(const struct i4q_command *command, int argc, char **argv, const struct i4q_work *work)
{
    const struct i4q_common *common = work->arguments;
    bool ok = i4q_cli_parse(command, argc, argv, work->arguments, work->error);
    if (ok && common->help) {
        print_help(command);
    } else if (ok) {
        i4q_cli_enter_sandbox(command, work->arguments);
        ok = work->carry_out(work->run);
    }
    return ok ? I4Q_OK : i4q_cli_fail(*work->subject, work->error);
}

int i4q_cli_finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    struct i4q_error error = {0};
    i4q_fail_errno(&error, "cannot write");
    i4q_cli_fail("standard output", &error);
    return status ? status : I4Q_FAILED;
}

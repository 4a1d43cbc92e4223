// SPDX-License-Identifier: Apache-2.0
/*
 * int4q-manual DIRECTORY: writes the man pages (man(7)) and the completions of bash, zsh and fish there. Run
 * by the build, so that both are made from the tables from which the program parses its options.
 */
#include "cli/cli.h"
#include "cli/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_file(const char *directory, const char *format, ...) __attribute__((format(printf, 2, 3)));

static FILE *open_file(const char *directory, const char *format, ...)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/", directory);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + length, sizeof path - (size_t)length, format, arguments);
    va_end(arguments);
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return file;
}

static void close_file(FILE *file)
{
    if (ferror(file) | fclose(file)) {
        perror("int4q-manual");
        exit(EXIT_FAILURE);
    }
}

/* Writes text with `before` in front of each of the characters. */
static void put_escaped(FILE *file, const char *text, size_t length, const char *characters,
                        const char *before)
{
    for (size_t i = 0; i < length && text[i]; i++)
        fprintf(file, "%s%c", strchr(characters, text[i]) ? before : "", text[i]);
}

/* What completions say of an option: its help up to where the details begin. */
static size_t brief(const char *help)
{
    const char *end = strpbrk(help, ":;(");
    size_t length = end ? (size_t)(end - help) : strlen(help);
    while (length && help[length - 1] == ' ')
        length--;
    return length;
}

/* ---- man pages */

/* No line begins with what troff would take for a request: each text follows a word, or begins with a letter.
 */
static void put_roff(FILE *file, const char *text)
{
    for (; *text; text++)
        fprintf(file, *text == '\\' ? "\\e" : *text == '-' ? "\\-" : *text == '\'' ? "\\(aq" : "%c", *text);
}

static void put_terms(FILE *file, const char *title, const struct i4q_term *terms)
{
    fprintf(file, ".SH %s\n", title);
    for (; terms->name; terms++) {
        fprintf(file, ".TP\n.B %s\n", terms->name);
        put_roff(file, terms->meaning);
        putc('\n', file);
    }
}

static void put_option(FILE *file, const struct i4q_option *option)
{
    fprintf(file, ".TP\n");
    if (option->letter)
        fprintf(file, "\\fB\\-%c\\fR, ", option->letter);
    fprintf(file, "\\fB\\-\\-");
    put_roff(file, option->name);
    fprintf(file, "\\fR");
    if (option->argument)
        fprintf(file, " \\fI%s\\fR", option->argument);
    putc('\n', file);
    put_roff(file, option->help);
    putc('\n', file);
}

static void put_title(FILE *file, const char *page, const char *summary)
{
    fprintf(file, ".TH %s 1 \"\" \"int4q %s\" \"User Commands\"\n.SH NAME\n%s \\- ", page, INT4Q_VERSION,
            page);
    put_roff(file, summary);
}

static void put_see_also(FILE *file, const struct i4q_command *self)
{
    const char *separator = "";
    fprintf(file, ".SH SEE ALSO\n");
    if (self) {
        fprintf(file, ".BR int4q (1)");
        separator = ",\n";
    }
    for (size_t i = 0; i4q_commands[i]; i++) {
        if (i4q_commands[i] != self) {
            fprintf(file, "%s.BR int4q\\-%s (1)", separator, i4q_commands[i]->name);
            separator = ",\n";
        }
    }
    putc('\n', file);
}

static void write_command_page(const char *directory, const struct i4q_command *command)
{
    char page[64];
    snprintf(page, sizeof page, "int4q\\-%s", command->name);
    FILE *file = open_file(directory, "int4q-%s.1", command->name);
    put_title(file, page, command->summary);
    fprintf(file, "\n.SH SYNOPSIS\n.B int4q %s\n.I MODEL\n%s.RI [ options ]\n.SH DESCRIPTION\n",
            command->name, i4q_option_output(command) ? ".RI [ OUTPUT ]\n" : "");
    put_roff(file, command->description);
    fprintf(file, "\n.PP\n.I MODEL\nmay be \\(aq\\-\\(aq, standard input.\n.SH OPTIONS\n");
    for (const struct i4q_option *option = command->options; option->name; option++) {
        const char *title = i4q_option_title(command, option);
        if (title) {
            fprintf(file, ".SS ");
            put_roff(file, title);
            putc('\n', file);
        }
        put_option(file, option);
    }
    put_terms(file, "EXIT STATUS", i4q_exit_statuses);
    put_terms(file, "ENVIRONMENT", i4q_environment);
    fprintf(file, ".SH EXAMPLES\n.EX\n");
    for (size_t i = 0; command->examples[i]; i++) {
        put_roff(file, command->examples[i]);
        putc('\n', file);
    }
    fprintf(file, ".EE\n");
    put_see_also(file, command);
    close_file(file);
}

static void write_main_page(const char *directory)
{
    FILE *file = open_file(directory, "int4q.1");
    put_title(file, "int4q", "stores the Conv weights of ONNX models in 4 bits, and says what it did");
    fprintf(file, "\n.SH SYNOPSIS\n.B int4q\n.I COMMAND MODEL\n.RI [ options ]\n.br\n.B int4q \\-\\-version\n"
                  ".SH COMMANDS\n");
    for (size_t i = 0; i4q_commands[i]; i++) {
        fprintf(file, ".TP\n.B %s\n", i4q_commands[i]->name);
        put_roff(file, i4q_commands[i]->summary);
        fprintf(file, "\n.IP\n");
        put_roff(file, i4q_commands[i]->description);
        putc('\n', file);
    }
    put_terms(file, "EXIT STATUS", i4q_exit_statuses);
    put_terms(file, "ENVIRONMENT", i4q_environment);
    put_see_also(file, NULL);
    close_file(file);
}

/* The words that an option suggests, for a shell. */
static const char *list(const struct i4q_option *option)
{
    static char words[256];
    i4q_cli_list(option->words, " ", words, sizeof words);
    return words;
}

/* ---- bash */

static bool takes_file(const struct i4q_option *option)
{
    return option->file != I4Q_FILE_NONE && option->file != I4Q_FILE_EVERYWHERE &&
           option->file != I4Q_FILE_DATA;
}

/* A pattern of `case` for the option, after "COMMAND ". */
static void put_bash_option(FILE *file, const struct i4q_command *command, const struct i4q_option *option)
{
    fprintf(file, "    '%s --%s'", command->name, option->name);
    if (option->letter)
        fprintf(file, " | '%s -%c'", command->name, option->letter);
    fprintf(file, ") ");
}

static void put_bash_values(FILE *file, const struct i4q_command *command)
{
    for (const struct i4q_option *option = command->options; option->name; option++) {
        if (!option->argument)
            continue;
        put_bash_option(file, command, option);
        if (option->words)
            fprintf(file, "words='%s' ;;\n", list(option));
        else /* files come from readline; of other values nothing is known, and a blank says so */
            fprintf(file, "%s ;;\n", takes_file(option) ? "return" : "words=' '");
    }
}

static void write_bash(const char *directory)
{
    FILE *file = open_file(directory, "int4q.bash");
    fprintf(file, "# Completion of int4q for bash, made from its table of options.\n"
                  "_int4q() {\n"
                  "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
                  "    local command=${COMP_WORDS[1]}\n"
                  "    COMPREPLY=()\n"
                  "    # --option=value comes as three words\n"
                  "    [ \"$word\" != = ] || word=''\n"
                  "    [ \"$before\" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}\n"
                  "    [ \"$COMP_CWORD\" -gt 1 ] || command='' before=''\n"
                  "    case \"$command $before\" in\n"
                  "    ' ') words='");
    for (size_t i = 0; i4q_commands[i]; i++)
        fprintf(file, "%s ", i4q_commands[i]->name);
    fprintf(file, "--help --version' ;;\n");
    for (size_t i = 0; i4q_commands[i]; i++)
        put_bash_values(file, i4q_commands[i]);
    fprintf(
        file,
        "    esac\n    if [ -z \"$words\" ] && [ \"${word#-}\" = \"$word\" ]; then\n"
        "        compopt -o filenames 2>/dev/null\n"
        "        mapfile -t COMPREPLY < <(compgen -f -X '!*.onnx' -- \"$word\"; compgen -d -- \"$word\")\n"
        "        return\n    fi\n    [ -n \"$words\" ] || case $command in\n");
    for (size_t i = 0; i4q_commands[i]; i++) {
        fprintf(file, "    %s) words='", i4q_commands[i]->name);
        for (const struct i4q_option *option = i4q_commands[i]->options; option->name; option++)
            fprintf(file, "%s--%s", option == i4q_commands[i]->options ? "" : " ", option->name);
        fprintf(file, "' ;;\n");
    }
    fprintf(file, "    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\n"
                  "complete -o bashdefault -o default -F _int4q int4q\n");
    close_file(file);
}

/* ---- zsh */

/* One specification of _arguments; the text is within single quotes. */
static void put_zsh_option(FILE *file, const struct i4q_option *option)
{
    const char *repeat = option->kind == I4Q_OPTION_LIST ? "*" : "", *equals = option->argument ? "=" : "";
    if (option->letter)
        fprintf(file, "        '(-%c --%s)'{-%c%s,--%s%s}'", option->letter, option->name, option->letter,
                option->argument ? "+" : "", option->name, equals);
    else
        fprintf(file, "        '%s--%s%s", repeat, option->name, equals);
    putc('[', file);
    size_t end = brief(option->help);
    for (size_t i = 0; i < end; i++)
        fprintf(file,
                option->help[i] == '\''            ? "'\\''"
                : strchr("[]:\\", option->help[i]) ? "\\%c"
                                                   : "%c",
                option->help[i]);
    putc(']', file);
    if (option->argument)
        fprintf(file, ":%s:", option->argument);
    if (takes_file(option))
        fprintf(file, "_files");
    if (option->words)
        fprintf(file, "(%s)", list(option));
    fprintf(file, "' \\\n");
}

static void write_zsh(const char *directory)
{
    FILE *file = open_file(directory, "_int4q");
    fprintf(file, "#compdef int4q\n# Completion of int4q for zsh, made from its table of options.\n"
                  "_int4q() {\n    if ((CURRENT == 2)); then\n        local -a commands=(\n");
    for (size_t i = 0; i4q_commands[i]; i++) {
        fprintf(file, "            \"%s:", i4q_commands[i]->name);
        put_escaped(file, i4q_commands[i]->summary, SIZE_MAX, ":\"$`\\", "\\");
        fprintf(file, "\"\n");
    }
    fprintf(file, "        )\n        _describe command commands\n        return\n    fi\n"
                  "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n");
    for (size_t i = 0; i4q_commands[i]; i++) {
        fprintf(file, "    %s) _arguments -s -S \\\n", i4q_commands[i]->name);
        for (const struct i4q_option *option = i4q_commands[i]->options; option->name; option++)
            put_zsh_option(file, option);
        fprintf(file, "        '1:MODEL:_files -g \"*.onnx(-.)\"' ;;\n");
    }
    fprintf(file, "    esac\n}\n_int4q \"$@\"\n");
    close_file(file);
}

/* ---- fish */

static void put_fish_text(FILE *file, const char *text, size_t length)
{
    putc('\'', file);
    put_escaped(file, text, length, "'\\", "\\");
    putc('\'', file);
}

static void write_fish(const char *directory)
{
    FILE *file = open_file(directory, "int4q.fish");
    fprintf(file, "# Completion of int4q for fish, made from its table of options.\ncomplete -c int4q -f\n"
                  "complete -c int4q -n __fish_use_subcommand -l help -d 'tell the commands'\n"
                  "complete -c int4q -n __fish_use_subcommand -l version -d 'tell version and kernels'\n");
    for (size_t i = 0; i4q_commands[i]; i++) {
        const struct i4q_command *command = i4q_commands[i];
        fprintf(file, "complete -c int4q -n __fish_use_subcommand -a %s -d ", command->name);
        put_fish_text(file, command->summary, SIZE_MAX);
        fprintf(file,
                "\nset -l on -c int4q -n '__fish_seen_subcommand_from %s'\n"
                "complete $on -k -a '(__fish_complete_suffix .onnx)'\n",
                command->name);
        for (const struct i4q_option *option = command->options; option->name; option++) {
            fprintf(file, "complete $on -l %s", option->name);
            if (option->letter)
                fprintf(file, " -s %c", option->letter);
            if (option->argument)
                fprintf(file, takes_file(option) ? " -r -F" : " -x");
            if (option->words)
                fprintf(file, " -a '%s'", list(option));
            fprintf(file, " -d ");
            put_fish_text(file, option->help, brief(option->help));
            putc('\n', file);
        }
    }
    close_file(file);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: int4q-manual DIRECTORY\n", stderr);
        return EXIT_FAILURE;
    }
    write_main_page(argv[1]);
    for (size_t i = 0; i4q_commands[i]; i++)
        write_command_page(argv[1], i4q_commands[i]);
    write_bash(argv[1]);
    write_zsh(argv[1]);
    write_fish(argv[1]);
    return EXIT_SUCCESS;
}

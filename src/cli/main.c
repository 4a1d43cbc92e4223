// SPDX-License-Identifier: Apache-2.0
/* int4q: the commands, and what is the same for all of them: --help and --version, the end. */
#include "base/suggest.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "kernels/sets.h"
#include "platform/process.h"
#include "platform/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_terms(const char *title, const struct i4q_term *terms)
{
    printf("\n%s:\n", title);
    for (; terms->name; terms++)
        printf("  %-10s %s\n", terms->name, terms->meaning);
}

static void print_help(void)
{
    printf("usage: int4q COMMAND MODEL [options]\n\n"
           "Stores the Conv weights of ONNX models in 4 bits, and says what it did.\n\ncommands:\n");
    for (size_t i = 0; i4q_commands[i]; i++)
        printf("  %-10s %s\n", i4q_commands[i]->name, i4q_commands[i]->summary);
    print_terms("exit status", i4q_exit_statuses);
    print_terms("environment", i4q_environment);
    printf(
        "\n'int4q COMMAND --help' tells the options of a command, 'int4q --version' version and kernels.\n");
}

static int print_version(void)
{
    struct i4q_error error = {0};
    const struct i4q_kernels *chosen = i4q_kernels_choose(getenv("INT4Q_CPU"), &error);
    if (!chosen)
        return i4q_cli_fail("INT4Q_CPU", &error);
    printf("int4q %s\nkernels:", INT4Q_VERSION);
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++)
        if (i4q_kernels_supported(*set))
            printf(" %s", (*set)->name);
    printf(" (using %s)\n", chosen->name);
    return I4Q_OK;
}

static int fail_unknown(const char *word)
{
    struct i4q_suggestion near = {.word = word};
    for (size_t i = 0; i4q_commands[i]; i++)
        i4q_suggest(&near, i4q_commands[i]->name);
    if (near.found)
        i4q_log_error("unknown command '%s': did you mean '%s'?", word, near.found);
    else if (*word != '-' && strpbrk(word, "./"))
        i4q_log_error("'%s' is no command; to rewrite a model: int4q rewrite %s", word, word);
    else
        i4q_log_error("unknown %s '%s'; 'int4q --help' lists the commands",
                      *word == '-' ? "option" : "command", word);
    return I4Q_USAGE;
}

static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i4q_commands[i]; i++)
        if (strcmp(argv[1], i4q_commands[i]->name) == 0)
            return i4q_commands[i]->run(i4q_commands[i], argc - 2, argv + 2);
    return fail_unknown(argv[1]);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        i4q_log_error("no command given; 'int4q --help' lists them");
        return I4Q_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return I4Q_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return print_version();
    return run_command(argc, argv);
}

int main(int argc, char **argv)
{
    if (!i4q_process_fill_descriptors())
        return I4Q_FAILED; /* there is nowhere to tell why */
    i4q_process_handle_signals();
    return i4q_cli_finish(run(argc, argv));
}

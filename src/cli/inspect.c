// SPDX-License-Identifier: Apache-2.0
/* int4q inspect: load → inspect → check requirements → report. Writes no model. */
#include "cli/cli.h"
#include "inspect/comparison.h"
#include "inspect/inspection.h"
#include "inspect/requirement.h"
#include "platform/terminal.h"
#include "report/inspect_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    struct i4q_common common;
    const char *json, *reference;
    bool stats, follow_symlinks;
    struct i4q_patterns require;
};

#define FIELD(name) offsetof(struct arguments, name)

static const struct i4q_option options[] = {
    {0, "require", "EXPR", I4Q_OPTION_LIST, FIELD(require),
     "fail (exit 4) unless it holds: int4>=82, float==36, size<9M, opset>=21, ir>=10, valid; repeatable"},
    {0, "stats", NULL, I4Q_OPTION_FLAG, FIELD(stats),
     "decode the weights: how often each code occurs, in the table"},
    {0, "reference", "MODEL", I4Q_OPTION_STRING, FIELD(reference),
     "compare with the model it was made from: SQNR and largest error a Conv, and every other difference",
     I4Q_FILE_MODEL},
    {0, "follow-symlinks", NULL, I4Q_OPTION_FLAG, FIELD(follow_symlinks),
     "read external data through symbolic and hard links, also to outside the model's directory",
     I4Q_FILE_EVERYWHERE},
    {0, "json", "FILE", I4Q_OPTION_STRING, FIELD(json),
     "the result as JSON; '-' is standard output, and then there is no text", I4Q_FILE_OUTPUT},
    I4Q_COMMON_OPTIONS,
    {.name = NULL},
};

static const struct i4q_option_group groups[] = {
    {"what is found out", "require"},
    I4Q_COMMON_GROUP,
    {NULL},
};

static const char description[] =
    "Says for each Conv what its weight is stored as, whoever wrote the model, and whether payloads and "
    "scales are sound. Payloads are not read unless --stats or --reference asks for it. With --require it is "
    "a check for scripts.";

static const char *const examples[] = {
    "int4q inspect out.onnx",
    "int4q inspect out.onnx --reference model.onnx",
    "int4q inspect -q out.onnx --require valid --require 'int4>=82' || exit",
    NULL,
};

struct run {
    struct arguments *arguments;
    struct i4q_arena arena;
    struct i4q_requirement *requirements;
    struct i4q_output json;
    struct i4q_model model, reference;
    struct i4q_inspection inspection;
    const char *subject; /* what an error is about */
    struct i4q_error *error;
};

static bool parse_requirements(struct run *run)
{
    const struct i4q_patterns *texts = &run->arguments->require;
    run->requirements = i4q_arena_alloc(&run->arena, texts->count, sizeof *run->requirements);
    if (!run->requirements)
        return i4q_fail_memory(run->error);
    for (size_t i = 0; i < texts->count; i++)
        if (!i4q_requirement_parse(texts->items[i], &run->requirements[i], run->error))
            return false;
    return true;
}

static bool open_json(struct run *run)
{
    const char *path = run->arguments->json;
    if (!path)
        return true;
    run->subject = i4q_cli_output_name(path);
    return i4q_output_open(&run->json, path, I4Q_OUTPUT_REPLACE, run->error);
}

static bool compare(struct run *run, const struct i4q_kernels *kernels)
{
    const char *path = run->arguments->reference;
    if (!path)
        return true;
    run->subject = i4q_cli_input_name(path);
    return i4q_model_load(&run->reference, path, run->arguments->follow_symlinks, run->error) &&
           i4q_cli_check_data(&run->arguments->common, &run->reference.external, run->error) &&
           i4q_compare(&run->inspection, &run->reference, kernels, run->error);
}

static bool inspect(struct run *run)
{
    const struct i4q_kernels *kernels = i4q_kernels_choose(getenv("INT4Q_CPU"), run->error);
    if (!kernels)
        return false;
    const char *path = run->arguments->common.model;
    run->subject = i4q_cli_input_name(path);
    if (!i4q_model_load(&run->model, path, run->arguments->follow_symlinks, run->error) ||
        !i4q_cli_check_data(&run->arguments->common, &run->model.external, run->error) ||
        !i4q_inspect(&run->model, kernels, run->arguments->stats, &run->inspection, run->error) ||
        !compare(run, kernels))
        return false;
    for (size_t i = 0; i < run->arguments->require.count; i++)
        i4q_requirement_check(&run->requirements[i], &run->inspection, i4q_model_bytes(&run->model));
    return true;
}

static bool tell(struct run *run)
{
    const struct arguments *a = run->arguments;
    const struct i4q_inspect_report report = {
        .inspection = &run->inspection,
        .path = a->common.model,
        .bytes = i4q_model_bytes(&run->model),
        .requirements = run->requirements,
        .n_requirements = a->require.count,
        .has_reference = a->reference != NULL,
        .table = i4q_cli_wants_table(&a->common) || (a->stats && !a->common.summary),
        .look = i4q_terminal_look(false),
    };
    bool to_stdout = i4q_is_dash(a->json);
    if (a->json) {
        run->subject = i4q_cli_output_name(a->json);
        if (!i4q_cli_write_json(&run->json, i4q_inspect_json(&report), run->error))
            return false;
    }
    if (!to_stdout && i4q_log_verbosity() > I4Q_QUIET)
        i4q_inspect_text(&report, stdout);
    run->subject = i4q_cli_input_name(a->common.model);
    return true;
}

/* Problems come first: of a broken model the figures say little. */
static bool check_outcome(struct run *run)
{
    const struct i4q_patterns *problems = &run->inspection.problems;
    if (problems->count)
        return i4q_fail(run->error, I4Q_MODEL, "%s%s", problems->items[0],
                        problems->count > 1 ? " (and more problems)" : "");
    char failed[512] = "";
    for (size_t i = 0; i < run->arguments->require.count; i++) {
        size_t length = strlen(failed);
        if (!run->requirements[i].holds)
            snprintf(failed + length, sizeof failed - length, "%s%s (it is %.0f)", length ? ", " : "",
                     run->requirements[i].text, run->requirements[i].value);
    }
    return !*failed || i4q_fail(run->error, I4Q_UNMET, "does not hold: %s", failed);
}

static bool carry_out(void *run)
{
    return parse_requirements(run) && open_json(run) && inspect(run) && tell(run) && check_outcome(run);
}

static int run_inspect(const struct i4q_command *command, int argc, char **argv)
{
    struct i4q_error error = {0};
    struct arguments arguments = {0};
    struct run run = {.arguments = &arguments, .subject = command->name, .error = &error};
    i4q_arena_init(&run.arena, SIZE_MAX / 2);
    arguments.common.arena = &run.arena;
    int status = i4q_cli_work(command, argc, argv,
                              &(struct i4q_work){&arguments, carry_out, &run, &run.subject, &error});
    i4q_output_abort(&run.json);
    i4q_model_free(&run.reference);
    i4q_model_free(&run.model);
    i4q_arena_free(&run.arena);
    return status;
}

const struct i4q_command i4q_cmd_inspect = {
    .name = "inspect",
    .summary = "say what each Conv's weight is stored as; writes no model",
    .options = options,
    .groups = groups,
    .description = description,
    .examples = examples,
    .run = run_inspect,
};

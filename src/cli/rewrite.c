// SPDX-License-Identifier: Apache-2.0
/* int4q rewrite: load → plan → quantize → rewrite → write → report. */
#include "cli/cli.h"
#include "cli/rewrite_choices.h"
#include "cli/rewrite_meaning.h"
#include "onnx/save.h"
#include "plan/apply.h"
#include "plan/mixture.h"
#include "plan/origin.h"
#include "plan/planner.h"
#include "plan/quants.h"
#include "platform/output.h"
#include "platform/terminal.h"
#include "report/rewrite_report.h"
#include "rewrite/price.h"
#include "rewrite/rewrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Files beyond these are no such files. Every pattern is held against every name, and JSON takes up to 70
 * times its size in memory. */
enum { PATTERNS_LIMIT = 1 << 20, JSON_LIMIT = 16 << 20 };

static const char description[] =
    "By default the weights of all Convs become INT4 with one scale an output channel, and a "
    "DequantizeLinear computes them before each Conv. Everything else in the model stays, but that the opset "
    "is raised to 21 where the format needs it. The report tells stages and totals or, with --table, for "
    "each "
    "Conv what it is stored as or for which reason it stays float. A pattern, or a sensitivity file, that "
    "matches no Conv is an error.";

static const char *const examples[] = {
    "int4q rewrite yolov10m.onnx --method squant -o yolov10m-int4.onnx",
    "int4q rewrite yolov10m.onnx --method calibrated --calibration stats.safetensors --topk sens.json",
    "int4q rewrite yolov10m.onnx --exclude 'model.23.*' --dry-run --json - | jq .totals",
    "int4q rewrite yolov10m.onnx --method squant --rank weights --keep-format int8 --target-size 9M",
    "int4q rewrite yolov10m.onnx --method calibrated --calibration stats.safetensors --activations uint8",
    NULL,
};

/* Everything that one run owns. */
struct run {
    struct i4q_rewrite_arguments *arguments;
    const struct i4q_kernels *kernels;
    struct i4q_arena arena;
    struct i4q_plan_options options;
    struct i4q_recipe choices[I4Q_OFFERS];
    size_t n_choices; /* 0: one recipe for all */
    struct i4q_mixture mixture;
    struct i4q_destination to;
    struct i4q_budget budget;
    struct i4q_input topk, keep_activations;
    struct i4q_statistics statistics;
    struct i4q_output output, json;
    struct i4q_model model;
    unsigned ops; /* whose weights are to be quantized */
    struct i4q_weights weights;
    struct i4q_plan plan;
    struct i4q_rewrite rewrite;
    struct i4q_layout layout;
    const char *subject; /* what an error is about */
    struct i4q_error *error;
};

/* ---- the steps; each tells in run->subject what its errors are about */

static bool read_pattern_files(struct run *run, const struct i4q_patterns *files,
                               struct i4q_patterns *patterns)
{
    for (size_t i = 0; i < files->count; i++) {
        struct i4q_input input;
        run->subject = i4q_cli_input_name(files->items[i]);
        if (!i4q_input_open(&input, files->items[i], PATTERNS_LIMIT, run->error))
            return false;
        bool ok = i4q_patterns_add_lines(&run->arena, patterns, input.bytes, run->error);
        i4q_input_close(&input);
        if (!ok)
            return false;
    }
    return true;
}

/* Whether a size or a number of bits is one, before anything is opened; of what file, is known later. */
static bool check_budget(const struct i4q_rewrite_arguments *a, struct i4q_error *error)
{
    double bits;
    size_t bytes;
    return (!a->bits || i4q_budget_parse_bits(a->bits, &bits, error)) &&
           (!a->target_size || i4q_budget_parse(a->target_size, 0, &bytes, error));
}

static bool read_options(struct run *run)
{
    struct i4q_rewrite_arguments *a = run->arguments;
    if (!check_budget(a, run->error) || !i4q_rewrite_plan_options(a, &run->options, run->error) ||
        !i4q_rewrite_choices(a, &run->options.target, run->choices, &run->n_choices, run->error) ||
        !i4q_rewrite_ops(a, &run->ops, run->error) ||
        !read_pattern_files(run, &a->include_from, &a->include) ||
        !read_pattern_files(run, &a->exclude_from, &a->exclude))
        return false;
    run->options.include = a->include;
    run->options.exclude = a->exclude;
    /* An include file without a pattern in it includes nothing, rather than everything. */
    run->options.only_included = a->include.count || a->include_from.count;
    return true;
}

static bool open_statistics(struct run *run)
{
    const char *path = run->arguments->calibration;
    if (!path)
        return true;
    run->subject = i4q_cli_input_name(path);
    run->options.statistics = &run->statistics;
    return i4q_statistics_open(&run->statistics, path, run->error);
}

static bool read_json(struct run *run, const char *path, struct i4q_input *input, struct i4q_view *bytes)
{
    if (!path)
        return true;
    run->subject = i4q_cli_input_name(path);
    if (!i4q_input_open(input, path, JSON_LIMIT, run->error))
        return false;
    *bytes = input->bytes;
    return true;
}

static bool read_sensitivities(struct run *run)
{
    struct i4q_plan_options *options = &run->options;
    return read_json(run, options->topk, &run->topk, &options->topk_json) &&
           read_json(run, options->activations.keep_path, &run->keep_activations,
                     &options->activations.keep_json);
}

static bool open_outputs(struct run *run)
{
    const struct i4q_rewrite_arguments *a = run->arguments;
    run->subject = i4q_cli_output_name(a->output);
    if (!a->dry_run &&
        !i4q_output_open(&run->output, a->output, a->force ? I4Q_OUTPUT_REPLACE : I4Q_OUTPUT_NEW, run->error))
        return false;
    if (!a->json)
        return true;
    run->subject = i4q_cli_output_name(a->json);
    return i4q_output_open(&run->json, a->json, I4Q_OUTPUT_REPLACE, run->error);
}

static struct i4q_estimate estimate(struct run *run)
{
    return (struct i4q_estimate){.facts = &run->weights,
                                 .options = &run->options,
                                 .kernels = run->kernels,
                                 .threads = run->options.threads,
                                 .by_outputs = run->options.by_outputs};
}

/* --rank stands in for a file of measurements. */
static bool estimate_losses(struct run *run)
{
    const struct i4q_estimate how = estimate(run);
    return !run->arguments->rank.word || run->n_choices ||
           i4q_estimate_losses(&how, &run->arena, &run->options.estimates, run->error);
}

static bool price(void *context, const struct i4q_plan *plan, size_t *bytes, struct i4q_error *error)
{
    return i4q_price(plan, context, bytes, error);
}

/* What there is to choose from: how many Convs are kept, or which recipe each weight gets. */
static bool make_ladder(struct run *run, struct i4q_ladder *ladder)
{
    const struct i4q_estimate how = estimate(run);
    *ladder = i4q_ladder_of_ranks(&run->plan);
    if (!run->n_choices)
        return true;
    if (!i4q_mixture_make(&run->plan, &how, run->choices, run->n_choices, &run->budget, &run->arena,
                          &run->mixture, run->error))
        return false;
    *ladder = i4q_mixture_ladder(&run->mixture);
    return true;
}

static bool fit_budget(struct run *run)
{
    const struct i4q_rewrite_arguments *a = run->arguments;
    struct i4q_ladder ladder;
    if (!a->bits && !a->target_size)
        return true;
    run->to = (struct i4q_destination){a->output, a->external, (int64_t)a->opset.value};
    run->budget = (struct i4q_budget){.option = a->bits ? "--bits" : "--target-size",
                                      .price = a->bits ? NULL : price,
                                      .context = &run->to,
                                      .kernels = run->kernels,
                                      .threads = run->options.threads};
    bool ok = a->bits ? i4q_budget_parse_bits(a->bits, &run->budget.bits, run->error)
                      : i4q_budget_parse(a->target_size, i4q_model_bytes(&run->model), &run->budget.limit,
                                         run->error);
    return ok && make_ladder(run, &ladder) && i4q_budget_fit(&run->plan, &ladder, &run->budget, run->error);
}

static bool check_origin(struct run *run)
{
    const struct i4q_rewrite_arguments *a = run->arguments;
    return !a->calibration || a->allow_other_model ||
           i4q_origin_check(&run->statistics, &run->weights, i4q_cli_input_name(a->common.model), run->error);
}

static bool load(struct run *run)
{
    const struct i4q_rewrite_arguments *a = run->arguments;
    run->subject = i4q_cli_input_name(a->common.model);
    if (!i4q_model_load(&run->model, a->common.model, a->follow_symlinks, run->error) ||
        !i4q_cli_check_data(&a->common, &run->model.external, run->error))
        return false;
    i4q_log_verbose("%s: loaded, %zu bytes", a->common.model, i4q_model_bytes(&run->model));
    return i4q_weights_find(&run->model, run->ops, a->import.word, &run->weights, run->error) &&
           check_origin(run);
}

static bool decide(struct run *run)
{
    if (!estimate_losses(run) || !i4q_plan_make(&run->weights, &run->options, &run->plan, run->error) ||
        !fit_budget(run) || !i4q_plan_quantize(&run->plan, run->kernels, run->options.threads, run->error))
        return false;
    i4q_log_verbose("%s: %zu of %zu Convs quantized with the %s kernels", run->arguments->common.model,
                    run->plan.n_quantized, run->plan.n_rows, run->kernels->name);
    return true;
}

static bool rewrite(struct run *run)
{
    const struct i4q_rewrite_arguments *a = run->arguments;
    return i4q_rewrite_apply(&run->plan, (int64_t)a->opset.value, &run->rewrite, run->error) &&
           (!i4q_plan_writes(&run->plan) ||
            i4q_layout_make(&run->model, a->output, a->external, &run->layout, run->error));
}

static bool write_model(struct run *run)
{
    run->subject = i4q_cli_output_name(run->arguments->output);
    if (!i4q_layout_write(&run->model, &run->layout, &run->output, run->error))
        return false;
    i4q_cli_has_written(run->arguments->output);
    i4q_log_verbose("%s: written, %zu bytes", run->subject, i4q_layout_bytes(&run->layout));
    return true;
}

static bool tell(struct run *run, bool written)
{
    const struct i4q_rewrite_arguments *a = run->arguments;
    const struct i4q_report report = {
        .plan = &run->plan,
        .rewrite = &run->rewrite,
        .input_path = a->common.model,
        .output_path = a->output,
        .topk_path = a->topk,
        .budget = &run->budget,
        .input_bytes = i4q_model_bytes(&run->model),
        .output_bytes = i4q_layout_bytes(&run->layout),
        .dry_run = a->dry_run,
        .written = written,
        .table = i4q_cli_wants_table(&a->common),
        .look = i4q_terminal_look(i4q_is_dash(a->output)),
    };
    if (a->json) {
        run->subject = i4q_cli_output_name(a->json);
        if (!i4q_cli_write_json(&run->json, i4q_report_json(&report), run->error))
            return false;
    }
    if (!i4q_is_dash(a->json) && i4q_log_verbosity() > I4Q_QUIET)
        i4q_report_text(&report, i4q_is_dash(a->output) ? stderr : stdout);
    fflush(stdout); /* before what standard error has to say */
    return true;
}

/* The default is the definition, not the best: figures of docs/methods.md. */
static void warn_of_method(const struct i4q_plan *plan)
{
    enum { MOST_BITS = 4 };
    const struct i4q_method *method = &plan->target.method;
    bool plain = method->scale == I4Q_SCALE_ABSMAX && method->rounding == I4Q_ROUND_NEAREST;
    if (plan->n_quantized && plain && plan->target.format->bits <= MOST_BITS)
        i4q_log_warning(
            "--method absmax at 4 bits or less costs a detector most of its "
            "accuracy, YOLOv10n 39.2 -> 2.6 mAP: --method squant keeps most of it, 34.9, with as many bytes "
            "and without images");
}

/* ---- what the plan came to */

/* The first Conv that --strict does not let pass, or NULL. */
static const struct i4q_plan_row *find_strict(const struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_rows; i++)
        if (i4q_reasons[plan->rows[i].reason].strict)
            return &plan->rows[i];
    return NULL;
}

/* The reason that most Convs have. */
static enum i4q_reason commonest_reason(const struct i4q_plan *plan, size_t *count)
{
    size_t counts[I4Q_REASONS] = {0};
    enum i4q_reason most = 0;
    for (size_t i = 0; i < plan->n_rows; i++)
        counts[plan->rows[i].reason]++;
    for (enum i4q_reason r = 1; r < I4Q_REASONS; r++)
        most = counts[r] > counts[most] ? r : most;
    *count = counts[most];
    return most;
}

static bool nothing_to_quantize(const struct run *run, struct i4q_error *error)
{
    const struct i4q_plan *plan = &run->plan;
    size_t count;
    if (!plan->n_rows)
        return i4q_fail(error, I4Q_UNMET, "nothing to quantize: the model has no Conv");
    enum i4q_reason reason = commonest_reason(plan, &count);
    char keep[128] = "";
    size_t importable = i4q_count_importable(plan);
    if (reason == I4Q_REASON_SENSITIVE && plan->keep_is_default)
        snprintf(keep, sizeof keep, "; --keep is %zu by default", plan->keep);
    if (reason == I4Q_REASON_SENSITIVE && run->arguments->target_size)
        snprintf(keep, sizeof keep, "; --target-size %.64s has room for all of them",
                 run->arguments->target_size);
    if (importable)
        snprintf(keep, sizeof keep, "; --import weights stores the integers of %zu", importable);
    return i4q_fail(
        error, I4Q_UNMET, "nothing to quantize: all of its %zu Convs stay as they are, %zu as '%s' (%s%s)",
        plan->n_rows, count, i4q_reasons[reason].word, i4q_reason_meaning(reason, plan->estimated), keep);
}

/* Whether there is something to be written; if not, the error says why. */
static bool check_outcome(const struct run *run, struct i4q_error *error)
{
    const struct i4q_plan *plan = &run->plan;
    const struct i4q_plan_row *left = run->arguments->strict ? find_strict(plan) : NULL;
    if (left)
        return i4q_fail(error, I4Q_MODEL, "--strict: node '%s' has to stay as it is: %s (%s)",
                        i4q_node_label(left->conv->node->proto), i4q_reasons[left->reason].word,
                        i4q_reason_meaning(left->reason, plan->estimated));
    const struct i4q_plan_quant *quant =
        run->arguments->strict && run->options.import_all ? i4q_plan_first_left(plan) : NULL;
    if (quant)
        return i4q_fail(error, I4Q_MODEL,
                        "--strict: node '%s' (%s) has to stay, and ONNX Runtime does not have it",
                        i4q_node_label(quant->node->proto), i4q_text(quant->node->proto->op_type));
    return i4q_plan_writes(plan) || nothing_to_quantize(run, error);
}

/* The report is made also when there is nothing to write. */
static bool finish(struct run *run)
{
    struct i4q_error outcome = {0};
    bool sound = check_outcome(run, &outcome), write = sound && !run->arguments->dry_run;
    if ((write && !write_model(run)) || !tell(run, write))
        return false;
    run->subject = i4q_cli_input_name(run->arguments->common.model);
    if (sound && !ferror(stdout))
        warn_of_method(&run->plan);
    return sound || i4q_fail(run->error, outcome.code, "%s", outcome.message);
}

static bool carry_out(void *context)
{
    struct run *run = context;
    run->kernels = i4q_kernels_choose(getenv("INT4Q_CPU"), run->error);
    return run->kernels && i4q_rewrite_check_usage(run->arguments, run->error) && read_options(run) &&
           open_outputs(run) && read_sensitivities(run) && open_statistics(run) && load(run) && decide(run) &&
           rewrite(run) && finish(run);
}

static void free_run(struct run *run)
{
    i4q_output_abort(&run->output);
    i4q_output_abort(&run->json);
    i4q_model_free(&run->model);
    i4q_input_close(&run->topk);
    i4q_input_close(&run->keep_activations);
    i4q_statistics_close(&run->statistics);
    i4q_arena_free(&run->arena);
}

static int run_rewrite(const struct i4q_command *command, int argc, char **argv)
{
    struct i4q_error error = {0};
    struct i4q_rewrite_arguments arguments = {.output = "out.onnx", .external = "auto"};
    struct run run = {.arguments = &arguments, .subject = command->name, .error = &error};
    i4q_arena_init(&run.arena, SIZE_MAX / 2);
    arguments.common.arena = &run.arena;
    int status = i4q_cli_work(command, argc, argv,
                              &(struct i4q_work){&arguments, carry_out, &run, &run.subject, &error});
    free_run(&run);
    return status;
}

const struct i4q_command i4q_cmd_rewrite = {
    .name = "rewrite",
    .summary = "choose Convs, store their weights in 4 bits, write the model",
    .options = i4q_rewrite_options,
    .groups = i4q_rewrite_groups,
    .description = description,
    .examples = examples,
    .run = run_rewrite,
};

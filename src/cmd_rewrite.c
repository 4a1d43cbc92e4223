// SPDX-License-Identifier: Apache-2.0
/* int4q rewrite: load → plan → quantize → rewrite → write → report. */
#include "int4q/cli.h"
#include "int4q/json.h"
#include "int4q/log.h"
#include "int4q/output.h"
#include "int4q/plan.h"
#include "int4q/report.h"
#include "int4q/rewrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pattern and JSON files beyond this are no such files. */
enum { SMALL_FILE_LIMIT = 64 << 20 };

struct arguments {
    struct i4q_common common;
    const char *output, *json, *topk, *quantize, *format, *keep_format, *decode, *dq_domain, *op_types;
    bool force, dry_run, strict, allow_unmatched;
    struct i4q_patterns include, exclude, include_from, exclude_from;
    struct i4q_number keep, min_weights, opset, block;
};

#define FIELD(name) offsetof(struct arguments, name)

static const struct i4q_option options[] = {
    {'o', "output", "FILE", I4Q_OPTION_STRING, FIELD(output),
     "where the result goes, whole or not at all; '-' is standard output (default: out.onnx)"},
    {'f', "force", NULL, I4Q_OPTION_FLAG, FIELD(force), "replace an existing output"},
    {'n', "dry-run", NULL, I4Q_OPTION_FLAG, FIELD(dry_run), "do everything but the writing"},
    {0, "include", "PATTERN", I4Q_OPTION_LIST, FIELD(include),
     "quantize only these Convs; repeatable. Matched against node, weight and torch module names, as plain "
     "text, or as a shell glob if no Conv has that very name"},
    {0, "exclude", "PATTERN", I4Q_OPTION_LIST, FIELD(exclude), "leave these Convs alone; repeatable, wins"},
    {0, "include-from", "FILE", I4Q_OPTION_LIST, FIELD(include_from),
     "one pattern a line, '#' begins a comment, '-' is standard input"},
    {0, "exclude-from", "FILE", I4Q_OPTION_LIST, FIELD(exclude_from), "the same"},
    {0, "allow-unmatched", NULL, I4Q_OPTION_FLAG, FIELD(allow_unmatched),
     "a pattern that matches no Conv is a note, not an error"},
    {0, "topk", "FILE", I4Q_OPTION_STRING, FIELD(topk),
     "sensitivity JSON: the K most sensitive Convs stay float"},
    {0, "keep", "K", I4Q_OPTION_NUMBER, FIELD(keep), "how many (default: the file's k, else 10)"},
    {0, "quantize", "N", I4Q_OPTION_STRING, FIELD(quantize),
     "quantize only the N (or N%) least sensitive measured Convs"},
    {0, "op-types", "LIST", I4Q_OPTION_STRING, FIELD(op_types),
     "operators to quantize, of Conv, ConvTranspose, Gemm, MatMul, separated by commas (default: Conv)"},
    {0, "min-weights", "N", I4Q_OPTION_NUMBER, FIELD(min_weights), "Convs with fewer weights stay float"},
    {0, "format", "F", I4Q_OPTION_STRING, FIELD(format),
     "int4, uint4, int8, or packed-u8: 4-bit codes in UINT8, decoded by operators of opset 11 (default: "
     "int4)"},
    {0, "keep-format", "F", I4Q_OPTION_STRING, FIELD(keep_format),
     "what Convs kept by --topk or --min-weights become: float or int8 (default: float)"},
    {0, "block", "N", I4Q_OPTION_NUMBER, FIELD(block),
     "N consecutive weights share a scale (default: an output channel)"},
    {0, "decode", "D", I4Q_OPTION_STRING, FIELD(decode),
     "dq: one DequantizeLinear a weight; cast: Cast, Sub and Mul, which ONNX Runtime folds at load (default: "
     "dq)"},
    {0, "dq-domain", "D", I4Q_OPTION_STRING, FIELD(dq_domain),
     "ai.onnx, or com.microsoft, which leaves the opset alone and runs in ONNX Runtime only (default: "
     "ai.onnx)"},
    {0, "opset", "N", I4Q_OPTION_NUMBER, FIELD(opset),
     "raise ai.onnx to N, at most 25 (default: what the output needs, or the model's own if higher)"},
    {0, "strict", NULL, I4Q_OPTION_FLAG, FIELD(strict),
     "fail, and write no model, when a Conv that was asked for has to stay as it is"},
    {0, "json", "FILE", I4Q_OPTION_STRING, FIELD(json),
     "the report as JSON; '-' is standard output, and then there is no text"},
    I4Q_COMMON_OPTIONS,
};

static const char epilogue[] =
    "By default weights become INT4, one scale an output channel, with a DequantizeLinear before the Conv.\n"
    "examples:\n"
    "  int4q rewrite yolov10m.onnx --topk sens.json -o yolov10m-int4.onnx\n"
    "  int4q rewrite yolov10m.onnx --exclude 'model.23.*' --dry-run --json - | jq .totals\n";

/* Everything that one run owns. */
struct run {
    struct arguments *arguments;
    const struct i4q_kernels *kernels;
    struct i4q_arena arena;
    struct i4q_plan_options options;
    struct i4q_input topk;
    struct i4q_output output;
    struct i4q_model model;
    struct i4q_plan plan;
    struct i4q_rewrite rewrite;
    const char *subject; /* what an error is about */
    struct i4q_error *error;
};

static bool is_dash(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* ---- usage */

static size_t count_dashes(const struct i4q_patterns *files)
{
    size_t count = 0;
    for (size_t i = 0; i < files->count; i++)
        count += is_dash(files->items[i]);
    return count;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino &&
           S_ISREG(x.st_mode);
}

/* The report would replace what the model is read from or written to. */
static bool json_collides(const struct arguments *a)
{
    return a->json && !is_dash(a->json) &&
           (strcmp(a->json, a->output) == 0 || same_file(a->json, a->common.model) ||
            (!a->dry_run && same_file(a->json, a->output)));
}

static bool check_usage(const struct arguments *a, struct i4q_error *error)
{
    size_t inputs = (size_t)is_dash(a->common.model) + is_dash(a->topk) + count_dashes(&a->include_from) +
                    count_dashes(&a->exclude_from);
    if (inputs > 1)
        return i4q_fail(error, I4Q_USAGE, "standard input can be read only once");
    if (is_dash(a->output) && is_dash(a->json))
        return i4q_fail(error, I4Q_USAGE, "the model and the JSON cannot both go to standard output");
    if (json_collides(a))
        return i4q_fail(error, I4Q_USAGE, "--json %s would replace the model", a->json);
    if (is_dash(a->output) && !a->dry_run && isatty(STDOUT_FILENO))
        return i4q_fail(error, I4Q_USAGE, "a model is not written to a terminal");
    if (a->keep.given && a->quantize)
        return i4q_fail(error, I4Q_USAGE, "--keep and --quantize exclude each other");
    if ((a->keep.given || a->quantize) && !a->topk)
        return i4q_fail(error, I4Q_USAGE, "%s needs --topk", a->keep.given ? "--keep" : "--quantize");
    if (a->opset.given && (a->opset.value == 0 || a->opset.value > I4Q_OPSET_MAX))
        return i4q_fail(error, I4Q_USAGE, "--opset: %zu is not between 1 and %d", a->opset.value,
                        I4Q_OPSET_MAX);
    return true;
}

/* One of the words; the error lists them. */
static bool parse_word(const char *option, const char *word, const char *const *words, size_t *index,
                       struct i4q_error *error)
{
    char list[128] = "";
    *index = 0;
    for (size_t i = 0; word && words[i]; i++) {
        size_t length = strlen(list);
        if (strcmp(word, words[i]) == 0) {
            *index = i;
            return true;
        }
        snprintf(list + length, sizeof list - length, "%s%s", length ? ", " : "", words[i]);
    }
    return !word || i4q_fail(error, I4Q_USAGE, "%s: '%s' is none of %s", option, word, list);
}

static bool parse_formats(const struct arguments *a, struct i4q_target *target, struct i4q_error *error)
{
    static const char *const formats[] = {"int4", "uint4", "int8", "packed-u8", NULL};
    static const char *const keep_formats[] = {"float", "int8", NULL};
    size_t format, keep;
    if (!parse_word("--format", a->format, formats, &format, error) ||
        !parse_word("--keep-format", a->keep_format, keep_formats, &keep, error))
        return false;
    target->format = i4q_format_find(formats[format]);
    target->keep_format = keep ? i4q_format_find(keep_formats[keep]) : NULL;
    return true;
}

static bool parse_target(const struct arguments *a, struct i4q_target *target, struct i4q_error *error)
{
    static const char *const decoders[] = {"dq", "cast", NULL};
    static const char *const domains[] = {"ai.onnx", "com.microsoft", NULL};
    size_t decode, domain;
    if (!parse_formats(a, target, error) || !parse_word("--decode", a->decode, decoders, &decode, error) ||
        !parse_word("--dq-domain", a->dq_domain, domains, &domain, error))
        return false;
    target->form = decode ? I4Q_FORM_CAST : I4Q_FORM_DQ;
    target->microsoft = domain;
    target->block = a->block.value;
    if (target->format->packed && (decode || domain || target->block))
        return i4q_fail(error, I4Q_USAGE, "--format packed-u8 cannot be combined with %s",
                        decode   ? "--decode cast"
                        : domain ? "--dq-domain com.microsoft"
                                 : "--block");
    if (domain && (decode || target->block))
        return i4q_fail(error, I4Q_USAGE, "--dq-domain com.microsoft cannot be combined with %s",
                        decode ? "--decode cast" : "--block");
    return true;
}

static bool parse_ops(const char *list, unsigned *ops, struct i4q_error *error)
{
    *ops = list ? 0 : I4Q_OPS_CONV;
    for (const char *at = list; at; at = *at == ',' ? at + 1 : NULL) {
        char op[32];
        size_t length = strcspn(at, ",");
        snprintf(op, sizeof op, "%.*s", (int)length, at);
        unsigned bit = i4q_conv_op_bit(op);
        if (!bit || length >= sizeof op)
            return i4q_fail(error, I4Q_USAGE, "--op-types: '%s' is none of Conv, ConvTranspose, Gemm, MatMul",
                            op);
        *ops |= bit;
        at += length;
    }
    return true;
}

/* N or N% */
static bool parse_quantize(const char *text, struct i4q_plan_options *plan, struct i4q_error *error)
{
    char digits[32];
    size_t length = strlen(text);
    bool percent = length && text[length - 1] == '%';
    snprintf(digits, sizeof digits, "%.*s", (int)(length - percent), text);
    plan->has_count = true;
    plan->rank = percent ? I4Q_RANK_QUANTIZE_PERCENT : I4Q_RANK_QUANTIZE;
    if (!i4q_cli_number("--quantize", digits, &plan->count, error))
        return false;
    if (percent && plan->count > 100)
        return i4q_fail(error, I4Q_USAGE, "--quantize: %s is more than all", text);
    return true;
}

/* ---- the steps; each tells in run->subject what its errors are about */

static bool read_pattern_files(struct run *run, const struct i4q_patterns *files,
                               struct i4q_patterns *patterns)
{
    for (size_t i = 0; i < files->count; i++) {
        struct i4q_input input;
        run->subject = i4q_cli_input_name(files->items[i]);
        if (!i4q_input_open(&input, files->items[i], SMALL_FILE_LIMIT, run->error))
            return false;
        bool ok = i4q_patterns_add_lines(&run->arena, patterns, input.bytes, run->error);
        i4q_input_close(&input);
        if (!ok)
            return false;
    }
    return true;
}

static bool read_options(struct run *run)
{
    struct arguments *a = run->arguments;
    run->options = (struct i4q_plan_options){.allow_unmatched = a->allow_unmatched,
                                             .topk = a->topk,
                                             .has_count = a->keep.given,
                                             .count = a->keep.value,
                                             .min_weights = a->min_weights.value};
    if (!parse_target(a, &run->options.target, run->error) ||
        !parse_ops(a->op_types, &run->options.ops, run->error))
        return false;
    if (a->quantize && !parse_quantize(a->quantize, &run->options, run->error))
        return false;
    if (!read_pattern_files(run, &a->include_from, &a->include) ||
        !read_pattern_files(run, &a->exclude_from, &a->exclude))
        return false;
    run->options.include = a->include;
    run->options.exclude = a->exclude;
    /* An include file without a pattern in it includes nothing, rather than everything. */
    run->options.only_included = a->include.count || a->include_from.count;
    return true;
}

static bool read_topk(struct run *run)
{
    if (!run->arguments->topk)
        return true;
    run->subject = i4q_cli_input_name(run->arguments->topk);
    if (!i4q_input_open(&run->topk, run->arguments->topk, SMALL_FILE_LIMIT, run->error))
        return false;
    run->options.topk_json = run->topk.bytes;
    return true;
}

static bool open_output(struct run *run)
{
    const struct arguments *a = run->arguments;
    run->subject = i4q_cli_output_name(a->output);
    return a->dry_run || i4q_output_open(&run->output, a->output,
                                         a->force ? I4Q_OUTPUT_REPLACE : I4Q_OUTPUT_NEW, run->error);
}

static bool decide(struct run *run)
{
    struct arguments *a = run->arguments;
    run->subject = i4q_cli_input_name(a->common.model);
    if (!i4q_model_load(&run->model, a->common.model, run->error))
        return false;
    i4q_log_verbose("%s: loaded, %zu bytes", a->common.model, run->model.input.bytes.size);
    if (!i4q_plan_make(&run->model, &run->options, &run->plan, run->error) ||
        !i4q_plan_quantize(&run->model, &run->plan, run->kernels, 0, run->error))
        return false;
    i4q_log_verbose("%s: %zu of %zu Convs quantized with the %s kernels", a->common.model,
                    run->plan.n_quantized, run->plan.n_rows, run->kernels->name);
    return i4q_rewrite_apply(&run->model, &run->plan, (int64_t)a->opset.value, &run->rewrite, run->error);
}

static bool write_model(struct run *run)
{
    run->subject = i4q_cli_output_name(run->arguments->output);
    onnx__model_proto__pack_to_buffer(run->model.proto, &run->output.base);
    if (!i4q_output_commit(&run->output, run->error))
        return false;
    i4q_log_verbose("%s: written, %zu bytes", run->subject, run->rewrite.bytes);
    return true;
}

static bool tell(struct run *run, bool written)
{
    const struct arguments *a = run->arguments;
    const struct i4q_report report = {
        .model = &run->model,
        .plan = &run->plan,
        .rewrite = &run->rewrite,
        .input_path = a->common.model,
        .output_path = a->output,
        .topk_path = a->topk,
        .input_bytes = run->model.input.bytes.size,
        .dry_run = a->dry_run,
        .written = written,
    };
    if (a->json) {
        run->subject = i4q_cli_output_name(a->json);
        if (!i4q_json_write(i4q_report_json(&report), a->json, run->error))
            return false;
    }
    if (!is_dash(a->json) && i4q_log_verbosity() > I4Q_QUIET)
        i4q_report_text(&report, is_dash(a->output) ? stderr : stdout);
    return true;
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

/* Whether there is something to be written; if not, the error says why. */
static bool check_outcome(const struct run *run, struct i4q_error *error)
{
    const struct i4q_plan_row *left = run->arguments->strict ? find_strict(&run->plan) : NULL;
    if (left)
        return i4q_fail(error, I4Q_MODEL, "--strict: node '%s' has to stay as it is: %s (%s)",
                        i4q_node_label(left->conv->node->proto), i4q_reasons[left->reason].word,
                        i4q_reasons[left->reason].meaning);
    if (run->plan.n_quantized)
        return true;
    if (!run->plan.n_rows)
        return i4q_fail(error, I4Q_UNMET, "nothing to quantize: the model has no Conv");
    return i4q_fail(error, I4Q_UNMET, "nothing to quantize: all of its %zu Convs stay as they are",
                    run->plan.n_rows);
}

/* The report is made also when there is nothing to write. */
static bool finish(struct run *run)
{
    struct i4q_error outcome = {0};
    bool sound = check_outcome(run, &outcome), write = sound && !run->arguments->dry_run;
    if ((write && !write_model(run)) || !tell(run, write))
        return false;
    run->subject = i4q_cli_input_name(run->arguments->common.model);
    return sound || i4q_fail(run->error, outcome.code, "%s", outcome.message);
}

static void free_run(struct run *run)
{
    i4q_output_abort(&run->output);
    i4q_model_free(&run->model);
    i4q_input_close(&run->topk);
    i4q_arena_free(&run->arena);
}

static int run_rewrite(const struct i4q_command *command, int argc, char **argv)
{
    struct i4q_error error = {0};
    struct arguments arguments = {.output = "out.onnx"};
    struct run run = {.arguments = &arguments, .subject = command->name, .error = &error};
    i4q_arena_init(&run.arena, SIZE_MAX / 2);
    arguments.common.arena = &run.arena;
    bool ok = i4q_cli_parse(command, argc, argv, &arguments, &error);
    if (ok && arguments.common.help) {
        i4q_cli_help(command);
    } else if (ok) {
        run.kernels = i4q_kernels_choose(getenv("INT4Q_CPU"), &error);
        ok = run.kernels && check_usage(&arguments, &error) && read_options(&run) && open_output(&run) &&
             read_topk(&run) && decide(&run) && finish(&run);
    }
    free_run(&run);
    return ok ? I4Q_OK : i4q_cli_fail(run.subject, &error);
}

const struct i4q_command i4q_cmd_rewrite = {
    .name = "rewrite",
    .summary = "choose Convs, store their weights in 4 bits, write the model",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .epilogue = epilogue,
    .run = run_rewrite,
};

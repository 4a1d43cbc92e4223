// SPDX-License-Identifier: Apache-2.0
#include "int4q/rewrite_arguments.h"

#include "int4q/layout.h"
#include "int4q/opset.h"
#include "int4q/size.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIELD(name) offsetof(struct i4q_rewrite_arguments, name)

const struct i4q_option i4q_rewrite_options[] = {
    {'o', "output", "FILE", I4Q_OPTION_STRING, FIELD(output),
     "where the result goes, whole or not at all; '-' is standard output (default: out.onnx)",
     I4Q_FILE_OUTPUT},
    {'f', "force", NULL, I4Q_OPTION_FLAG, FIELD(force), "replace an existing output"},
    {'n', "dry-run", NULL, I4Q_OPTION_FLAG, FIELD(dry_run), "do everything but the writing"},
    {0, "include", "PATTERN", I4Q_OPTION_LIST, FIELD(include),
     "quantize only these Convs; repeatable. Matched against node, weight and torch module names, as plain "
     "text, or as a shell glob if no Conv has that very name"},
    {0, "exclude", "PATTERN", I4Q_OPTION_LIST, FIELD(exclude), "leave these Convs alone; repeatable, wins"},
    {0, "include-from", "FILE", I4Q_OPTION_LIST, FIELD(include_from),
     "one pattern a line, '#' begins a comment, '-' is standard input", I4Q_FILE_INPUT},
    {0, "exclude-from", "FILE", I4Q_OPTION_LIST, FIELD(exclude_from), "the same", I4Q_FILE_INPUT},
    {0, "allow-unmatched", NULL, I4Q_OPTION_FLAG, FIELD(allow_unmatched),
     "a pattern that matches no Conv is a note, not an error"},
    {0, "topk", "FILE", I4Q_OPTION_STRING, FIELD(topk),
     "sensitivity JSON: the K most sensitive Convs stay float", I4Q_FILE_INPUT},
    {0, "topk-order", "O", I4Q_OPTION_STRING, FIELD(topk_order),
     "auto, higher-worse or lower-worse: which scores are the sensitive ones (default: auto, as the file "
     "tells)"},
    {0, "rank", "R", I4Q_OPTION_STRING, FIELD(rank),
     "weights or stats, in place of --topk: estimate which Convs lose most a byte, by their weights' errors "
     "or, "
     "with --calibration, by their outputs'"},
    {0, "keep", "K", I4Q_OPTION_NUMBER, FIELD(keep), "how many (default: the file's k, else 10)"},
    {0, "target-size", "SIZE", I4Q_OPTION_STRING, FIELD(target_size),
     "keep as many of the most sensitive Convs as still fit: 8500000, 8.5M, 8Mi, or 12% of the input"},
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
    {0, "method", "M", I4Q_OPTION_STRING, FIELD(method),
     "absmax, squant (the best without images) or calibrated (the best, needs --calibration): how scales and "
     "codes are chosen (default: absmax)"},
    {0, "calibration", "FILE", I4Q_OPTION_STRING, FIELD(calibration),
     "statistics of scripts/calibrate.py, for `calibrated` and for the correction of biases", I4Q_FILE_INPUT},
    {0, "scale", "S", I4Q_OPTION_STRING, FIELD(scale),
     "absmax, signed or range, in place of the method's own: largest magnitude; the same, with code -8 used; "
     "smallest to largest, with a zero point"},
    {0, "asymmetric", NULL, I4Q_OPTION_FLAG, FIELD(asymmetric), "the same as --scale range"},
    {0, "rounding", "R", I4Q_OPTION_STRING, FIELD(rounding),
     "nearest, squant, descent or gptq, in place of the method's own; the last two need --calibration"},
    {0, "no-bias-correction", NULL, I4Q_OPTION_FLAG, FIELD(no_bias_correction),
     "leave the biases alone, although --calibration tells how to correct them"},
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
    {0, "assume-constant", NULL, I4Q_OPTION_FLAG, FIELD(assume_constant),
     "weights that are graph inputs with a default value are constants"},
    {0, "follow-symlinks", NULL, I4Q_OPTION_FLAG, FIELD(follow_symlinks),
     "read external data through symbolic and hard links, also to outside the model's directory",
     I4Q_FILE_EVERYWHERE},
    {0, "external-data", "W", I4Q_OPTION_STRING, FIELD(external), I4Q_EXTERNAL_DATA_HELP},
    {0, "strict", NULL, I4Q_OPTION_FLAG, FIELD(strict),
     "fail, and write no model, when a Conv that was asked for has to stay as it is"},
    {0, "json", "FILE", I4Q_OPTION_STRING, FIELD(json),
     "the report as JSON; '-' is standard output, and then there is no text", I4Q_FILE_OUTPUT},
    I4Q_COMMON_OPTIONS,
    {.name = NULL},
};

bool i4q_is_dash(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* ---- usage */

static size_t count_dashes(const struct i4q_patterns *files)
{
    size_t count = 0;
    for (size_t i = 0; i < files->count; i++)
        count += i4q_is_dash(files->items[i]);
    return count;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino &&
           S_ISREG(x.st_mode);
}

/* The report would replace what the model is read from or written to. */
static bool json_collides(const struct i4q_rewrite_arguments *a)
{
    return a->json && !i4q_is_dash(a->json) &&
           (strcmp(a->json, a->output) == 0 || same_file(a->json, a->common.model) ||
            (!a->dry_run && same_file(a->json, a->output)));
}

bool i4q_rewrite_check_usage(const struct i4q_rewrite_arguments *a, struct i4q_error *error)
{
    size_t inputs = (size_t)i4q_is_dash(a->common.model) + i4q_is_dash(a->topk) +
                    count_dashes(&a->include_from) + count_dashes(&a->exclude_from);
    if (inputs > 1)
        return i4q_fail(error, I4Q_USAGE, "standard input can be read only once");
    if (i4q_is_dash(a->output) && i4q_is_dash(a->json))
        return i4q_fail(error, I4Q_USAGE, "the model and the JSON cannot both go to standard output");
    if (json_collides(a))
        return i4q_fail(error, I4Q_USAGE, "--json %s would replace the model", a->json);
    if (i4q_is_dash(a->output) && !a->dry_run && isatty(STDOUT_FILENO))
        return i4q_fail(error, I4Q_USAGE, "a model is not written to a terminal");
    if (!i4q_layout_check(a->output, a->external, error))
        return false;
    if (a->keep.given + (a->quantize != NULL) + (a->target_size != NULL) > 1)
        return i4q_fail(error, I4Q_USAGE, "--keep, --quantize and --target-size exclude each other");
    if (a->rank && a->topk)
        return i4q_fail(error, I4Q_USAGE, "--rank and --topk exclude each other");
    if (((a->keep.given || a->quantize || a->target_size) && !a->topk && !a->rank) ||
        (a->topk_order && !a->topk))
        return i4q_fail(error, I4Q_USAGE, "%s needs --topk",
                        a->keep.given    ? "--keep"
                        : a->quantize    ? "--quantize"
                        : a->target_size ? "--target-size"
                                         : "--topk-order");
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

static bool parse_formats(const struct i4q_rewrite_arguments *a, struct i4q_target *target,
                          struct i4q_error *error)
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

/* Single choices of the method, made by hand. */
static bool override_method(const struct i4q_rewrite_arguments *a, struct i4q_target *target,
                            struct i4q_error *error)
{
    static const char *const scales[] = {"absmax", "signed", "range", NULL};
    static const char *const roundings[] = {"nearest", "squant", "descent", "gptq", NULL};
    size_t scale, rounding;
    if (!parse_word("--scale", a->scale, scales, &scale, error) ||
        !parse_word("--rounding", a->rounding, roundings, &rounding, error))
        return false;
    if (a->scale && a->asymmetric)
        return i4q_fail(error, I4Q_USAGE, "--scale and --asymmetric exclude each other");
    if (a->scale)
        target->method.scale = (enum i4q_scale_choice)scale;
    if (a->asymmetric)
        target->method.scale = I4Q_SCALE_RANGE;
    if (a->rounding)
        target->method.rounding = (enum i4q_rounding)rounding;
    bool plain = target->method.scale == I4Q_SCALE_ABSMAX && target->method.rounding == I4Q_ROUND_NEAREST;
    if (target->format->bits != 4 && (!plain || a->calibration))
        return i4q_fail(error, I4Q_USAGE, "--format %s is for --method absmax only", target->format->name);
    if (i4q_method_needs_statistics(&target->method) && !a->calibration)
        return i4q_fail(error, I4Q_USAGE, "%s %s needs --calibration",
                        a->rounding ? "--rounding" : "--method",
                        a->rounding ? a->rounding : target->method.name);
    target->correct_bias = !a->no_bias_correction;
    return true;
}

static bool parse_method(const struct i4q_rewrite_arguments *a, struct i4q_target *target,
                         struct i4q_error *error)
{
    const char *names[I4Q_MAX_METHODS + 1] = {NULL};
    size_t index;
    for (size_t i = 0; i < I4Q_MAX_METHODS && i4q_methods[i].name; i++)
        names[i] = i4q_methods[i].name;
    if (!parse_word("--method", a->method, names, &index, error))
        return false;
    target->method = i4q_methods[index];
    return override_method(a, target, error);
}

static bool parse_rank(const struct i4q_rewrite_arguments *a, struct i4q_error *error)
{
    static const char *const ranks[] = {"weights", "stats", NULL};
    size_t rank;
    if (!parse_word("--rank", a->rank, ranks, &rank, error))
        return false;
    return !rank || a->calibration || i4q_fail(error, I4Q_USAGE, "--rank stats needs --calibration");
}

static bool parse_target(const struct i4q_rewrite_arguments *a, struct i4q_target *target,
                         struct i4q_error *error)
{
    static const char *const decoders[] = {"dq", "cast", NULL};
    static const char *const domains[] = {"ai.onnx", "com.microsoft", NULL};
    size_t decode, domain;
    if (!parse_formats(a, target, error) || !parse_method(a, target, error) || !parse_rank(a, error) ||
        !parse_word("--decode", a->decode, decoders, &decode, error) ||
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

static bool parse_order(const struct i4q_rewrite_arguments *a, enum i4q_topk_order *order,
                        struct i4q_error *error)
{
    static const char *const orders[] = {"auto", "higher-worse", "lower-worse", NULL};
    size_t index;
    if (!parse_word("--topk-order", a->topk_order, orders, &index, error))
        return false;
    *order = (enum i4q_topk_order)index;
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

bool i4q_rewrite_plan_options(const struct i4q_rewrite_arguments *a, struct i4q_plan_options *options,
                              struct i4q_error *error)
{
    *options = (struct i4q_plan_options){.allow_unmatched = a->allow_unmatched,
                                         .topk = a->topk,
                                         .has_count = a->keep.given,
                                         .count = a->keep.value,
                                         .min_weights = a->min_weights.value,
                                         .assume_constant = a->assume_constant};
    return parse_order(a, &options->order, error) && parse_target(a, &options->target, error) &&
           parse_ops(a->op_types, &options->ops, error) &&
           (!a->quantize || parse_quantize(a->quantize, options, error));
}

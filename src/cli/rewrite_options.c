// SPDX-License-Identifier: Apache-2.0
#include "cli/rewrite_options.h"

#include "base/size.h"
#include "onnx/opset/upgrade.h"
#include "onnx/save.h"

#include <stdio.h>
#include <string.h>
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
     "patterns to include, one a line; '#' begins a comment, '-' is standard input", I4Q_FILE_INPUT},
    {0, "exclude-from", "FILE", I4Q_OPTION_LIST, FIELD(exclude_from), "patterns to exclude, one a line",
     I4Q_FILE_INPUT},
    {0, "allow-unmatched", NULL, I4Q_OPTION_FLAG, FIELD(allow_unmatched),
     "a pattern that matches no Conv is a note, not an error"},
    {0, "topk", "FILE", I4Q_OPTION_STRING, FIELD(topk),
     "sensitivity JSON: the K most sensitive Convs stay float", I4Q_FILE_INPUT},
    {0, "topk-order", "O", I4Q_OPTION_WORD, FIELD(topk_order),
     "which scores are the sensitive ones: auto, higher-worse or lower-worse (default: auto, as the file "
     "tells)",
     I4Q_FILE_NONE, "auto higher-worse lower-worse"},
    {0, "rank", "R", I4Q_OPTION_WORD, FIELD(rank),
     "estimate which Convs lose most a byte, in place of --topk: by the errors of their weights (weights) "
     "or, with --calibration, of their outputs (stats)",
     I4Q_FILE_NONE, "weights stats"},
    {0, "keep", "K", I4Q_OPTION_NUMBER, FIELD(keep),
     "how many Convs --topk or --rank keep (default: the file's k, else 10)"},
    {0, "target-size", "SIZE", I4Q_OPTION_STRING, FIELD(target_size),
     "keep as many of the most sensitive Convs as still fit: 8500000, 8.5M, 8Mi, or 12% of the input"},
    {0, "quantize", "N", I4Q_OPTION_STRING, FIELD(quantize),
     "quantize only the least sensitive measured Convs: N of them, or N%"},
    {0, "op-types", "LIST", I4Q_OPTION_STRING, FIELD(op_types),
     "operators to quantize, of Conv, ConvTranspose, Gemm, MatMul, separated by commas (default: Conv)",
     I4Q_FILE_NONE, "Conv ConvTranspose Gemm MatMul"},
    {0, "min-weights", "N", I4Q_OPTION_NUMBER, FIELD(min_weights), "Convs with fewer weights stay float"},
    {0, "format", "F", I4Q_OPTION_WORD, FIELD(format),
     "how weights are stored: int4, uint4, int8, or packed-u8, which is 4-bit codes in UINT8, decoded by "
     "operators of opset 11 (default: int4)",
     I4Q_FILE_NONE, "int4 uint4 int8 packed-u8"},
    {0, "keep-format", "F", I4Q_OPTION_WORD, FIELD(keep_format),
     "what Convs kept by --topk or --min-weights become: float or int8 (default: float)", I4Q_FILE_NONE,
     "float int8"},
    {0, "method", "M", I4Q_OPTION_WORD, FIELD(method),
     "how scales and codes are chosen: absmax, squant (the best without images) or calibrated (the best, "
     "needs --calibration) (default: absmax)",
     I4Q_FILE_NONE, "absmax squant calibrated"},
    {0, "calibration", "FILE", I4Q_OPTION_STRING, FIELD(calibration),
     "statistics of scripts/calibrate.py, for the method calibrated and for the correction of biases",
     I4Q_FILE_INPUT},
    {0, "scale", "S", I4Q_OPTION_WORD, FIELD(scale),
     "the scale, in place of the method's own: absmax (largest magnitude), signed (the same, with code -8 "
     "used), range (smallest to largest, with a zero point), mse (least squared error of the weights) or "
     "l2.4 "
     "(least sum of |error|^2.4)",
     I4Q_FILE_NONE, "absmax signed range mse l2.4"},
    {0, "asymmetric", NULL, I4Q_OPTION_FLAG, FIELD(asymmetric),
     "with a zero point: --scale range, or with it --scale mse or l2.4"},
    {0, "rounding", "R", I4Q_OPTION_WORD, FIELD(rounding),
     "the rounding, in place of the method's own: nearest, squant, descent or gptq; the last two need "
     "--calibration",
     I4Q_FILE_NONE, "nearest squant descent gptq"},
    {0, "no-bias-correction", NULL, I4Q_OPTION_FLAG, FIELD(no_bias_correction),
     "leave the biases alone, although --calibration tells how to correct them"},
    {0, "block", "N", I4Q_OPTION_NUMBER, FIELD(block),
     "N consecutive weights share a scale (default: an output channel)"},
    {0, "decode", "D", I4Q_OPTION_WORD, FIELD(decode),
     "how weights become floats: dq, one DequantizeLinear a weight, or cast: Cast, Sub and Mul, which ONNX "
     "Runtime folds at load (default: dq)",
     I4Q_FILE_NONE, "dq cast"},
    {0, "dq-domain", "D", I4Q_OPTION_WORD, FIELD(dq_domain),
     "the domain of DequantizeLinear: ai.onnx, or com.microsoft, which leaves the opset alone and runs in "
     "ONNX Runtime only (default: ai.onnx)",
     I4Q_FILE_NONE, "ai.onnx com.microsoft"},
    {0, "opset", "N", I4Q_OPTION_NUMBER, FIELD(opset),
     "raise ai.onnx to N, at most 25 (default: what the output needs, or the model's own if higher)"},
    {0, "assume-constant", NULL, I4Q_OPTION_FLAG, FIELD(assume_constant),
     "weights that are graph inputs with a default value are constants"},
    {0, "follow-symlinks", NULL, I4Q_OPTION_FLAG, FIELD(follow_symlinks),
     "read external data through symbolic and hard links, also to outside the model's directory",
     I4Q_FILE_EVERYWHERE},
    {0, "external-data", "W", I4Q_OPTION_STRING, FIELD(external), I4Q_EXTERNAL_DATA_HELP, I4Q_FILE_NONE,
     I4Q_EXTERNAL_DATA_WORDS},
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

bool i4q_rewrite_check_usage(const struct i4q_rewrite_arguments *a, struct i4q_error *error)
{
    if (i4q_is_dash(a->output) && i4q_is_dash(a->json))
        return i4q_fail(error, I4Q_USAGE, "the model and the JSON cannot both go to standard output");
    if (i4q_is_dash(a->output) && !a->dry_run && isatty(STDOUT_FILENO))
        return i4q_fail(error, I4Q_USAGE, "a model is not written to a terminal");
    if (!i4q_layout_check(a->output, a->external, error))
        return false;
    if (a->keep.given + (a->quantize != NULL) + (a->target_size != NULL) > 1)
        return i4q_fail(error, I4Q_USAGE, "--keep, --quantize and --target-size exclude each other");
    if (a->rank.word && a->topk)
        return i4q_fail(error, I4Q_USAGE, "--rank and --topk exclude each other");
    if (((a->keep.given || a->quantize || a->target_size) && !a->topk && !a->rank.word) ||
        (a->topk_order.word && !a->topk))
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

/* --scale tells of the zero point too, which --asymmetric adds where there is a choice. */
static bool override_scale(const struct i4q_rewrite_arguments *a, struct i4q_method *method,
                           struct i4q_error *error)
{
    enum i4q_scale_choice chosen = (enum i4q_scale_choice)a->scale.index;
    if (!a->scale.word && !a->asymmetric)
        return true;
    if (a->scale.word && a->asymmetric && chosen < I4Q_SCALE_RANGE)
        return i4q_fail(error, I4Q_USAGE,
                        "--scale %s has no zero point: --asymmetric goes with range, mse and l2.4",
                        a->scale.word);
    method->scale = a->scale.word ? chosen : I4Q_SCALE_RANGE;
    method->asymmetric = a->asymmetric || method->scale == I4Q_SCALE_RANGE;
    return true;
}

/* Single choices of the method, made by hand. */
static bool override_method(const struct i4q_rewrite_arguments *a, struct i4q_target *target,
                            struct i4q_error *error)
{
    if (!override_scale(a, &target->method, error))
        return false;
    if (a->rounding.word)
        target->method.rounding = (enum i4q_rounding)a->rounding.index;
    bool plain = target->method.scale == I4Q_SCALE_ABSMAX && target->method.rounding == I4Q_ROUND_NEAREST;
    if (target->format->bits != 4 && (!plain || a->calibration))
        return i4q_fail(error, I4Q_USAGE, "--format %s is for --method absmax only", target->format->name);
    if (i4q_method_needs_statistics(&target->method) && !a->calibration)
        return i4q_fail(error, I4Q_USAGE, "%s %s needs --calibration",
                        a->rounding.word ? "--rounding" : "--method",
                        a->rounding.word ? a->rounding.word : target->method.name);
    target->correct_bias = !a->no_bias_correction;
    return true;
}

bool i4q_rewrite_ranks_by_outputs(const struct i4q_rewrite_arguments *a)
{
    return a->rank.index == 1;
}

static bool parse_target(const struct i4q_rewrite_arguments *a, struct i4q_target *target,
                         struct i4q_error *error)
{
    bool cast = a->decode.index, microsoft = a->dq_domain.index;
    *target = (struct i4q_target){
        .format = i4q_format_find(a->format.word ? a->format.word : "int4"),
        .keep_format = a->keep_format.index ? i4q_format_find(a->keep_format.word) : NULL,
        .method = i4q_methods[a->method.index],
        .form = cast ? I4Q_FORM_CAST : I4Q_FORM_DQ,
        .microsoft = microsoft,
        .block = a->block.value,
    };
    if (!override_method(a, target, error))
        return false;
    if (i4q_rewrite_ranks_by_outputs(a) && !a->calibration)
        return i4q_fail(error, I4Q_USAGE, "--rank stats needs --calibration");
    if (target->format->packed && (cast || microsoft || target->block))
        return i4q_fail(error, I4Q_USAGE, "--format packed-u8 cannot be combined with %s",
                        cast        ? "--decode cast"
                        : microsoft ? "--dq-domain com.microsoft"
                                    : "--block");
    if (microsoft && (cast || target->block))
        return i4q_fail(error, I4Q_USAGE, "--dq-domain com.microsoft cannot be combined with %s",
                        cast ? "--decode cast" : "--block");
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
                                         .order = (enum i4q_topk_order)a->topk_order.index,
                                         .has_count = a->keep.given,
                                         .count = a->keep.value,
                                         .min_weights = a->min_weights.value,
                                         .assume_constant = a->assume_constant};
    return parse_target(a, &options->target, error) && parse_ops(a->op_types, &options->ops, error) &&
           (!a->quantize || parse_quantize(a->quantize, options, error));
}

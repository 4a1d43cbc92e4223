// SPDX-License-Identifier: Apache-2.0
#include "cli/rewrite_meaning.h"

#include "cli/rewrite_choices.h"
#include "onnx/dtype.h"
#include "onnx/opset/upgrade.h"
#include "platform/terminal.h"

#include <stdio.h>
#include <string.h>

/* ---- usage */

static bool check_ranking(const struct i4q_rewrite_arguments *a, struct i4q_error *error)
{
    if (a->keep.given + (a->quantize != NULL) + (a->target_size != NULL) > 1)
        return i4q_fail(error, I4Q_USAGE, "--keep, --quantize and --target-size exclude each other");
    if (a->topk || a->rank.word)
        return true;
    if (a->target_size)
        return i4q_fail(error, I4Q_USAGE, "--target-size needs --topk, --rank or --choices");
    const char *ranking = a->keep.given ? "--keep" : a->quantize ? "--quantize" : NULL;
    return !ranking || i4q_fail(error, I4Q_USAGE, "%s needs --topk or --rank", ranking);
}

/* One budget, and nothing else that says what becomes of which Conv. */
static bool check_mixture(const struct i4q_rewrite_arguments *a, struct i4q_error *error)
{
    const char *mixes = a->bits ? "--bits" : "--choices";
    const char *other = a->keep.given ? "--keep" : a->quantize ? "--quantize" : NULL;
    if (a->bits && a->target_size)
        return i4q_fail(error, I4Q_USAGE, "--bits and --target-size exclude each other");
    if (!a->bits && !a->target_size)
        return i4q_fail(error, I4Q_USAGE, "--choices needs --bits or --target-size");
    if (other)
        return i4q_fail(error, I4Q_USAGE, "%s cannot be combined with %s", other, mixes);
    return !a->block.given ||
           i4q_fail(error, I4Q_USAGE, "--block cannot be combined with %s: blocks are choices, as int4:32",
                    mixes);
}

bool i4q_rewrite_check_usage(const struct i4q_rewrite_arguments *a, struct i4q_error *error)
{
    if (i4q_is_dash(a->output) && i4q_is_dash(a->json))
        return i4q_fail(error, I4Q_USAGE, "the model and the JSON cannot both go to standard output");
    if (i4q_is_dash(a->output) && !a->dry_run && i4q_stdout_is_terminal())
        return i4q_fail(error, I4Q_USAGE, "a model is not written to a terminal");
    if (a->rank.word && a->topk)
        return i4q_fail(error, I4Q_USAGE, "--rank and --topk exclude each other");
    if (!(i4q_rewrite_mixes(a) ? check_mixture(a, error) : check_ranking(a, error)))
        return false;
    if (a->import.word && i4q_format_find(i4q_format_word(a->format.index))->floats)
        return i4q_fail(error, I4Q_USAGE, "--import stores integers, which --format %s does not",
                        a->format.word);
    if (a->topk_order.word && !a->topk)
        return i4q_fail(error, I4Q_USAGE, "--topk-order needs --topk");
    if (a->opset.given && (a->opset.value == 0 || a->opset.value > I4Q_OPSET_MAX))
        return i4q_fail(error, I4Q_USAGE, "--opset: %zu is not between 1 and %d", a->opset.value,
                        I4Q_OPSET_MAX);
    return true;
}

/* --scale tells of the zero point too, which --asymmetric adds where there is a choice. Without them the
 * preset's suits the bits; choices of a mixture see to that themselves. */
static bool override_scale(const struct i4q_rewrite_arguments *a, struct i4q_method *method, unsigned bits,
                           struct i4q_error *error)
{
    enum i4q_scale_choice chosen = (enum i4q_scale_choice)a->scale.index;
    if (!a->scale.word && !a->asymmetric) {
        *method = i4q_rewrite_mixes(a) ? *method : i4q_method_for_bits(method, bits);
        return true;
    }
    if (a->scale.word && a->asymmetric && chosen < I4Q_SCALE_RANGE)
        return i4q_fail(error, I4Q_USAGE,
                        "--scale %s has no zero point: --asymmetric goes with range, mse and l2.4",
                        a->scale.word);
    method->scale = a->scale.word ? chosen : I4Q_SCALE_RANGE;
    method->asymmetric = a->asymmetric || method->scale == I4Q_SCALE_RANGE;
    return true;
}

/* Single choices of the method, made by hand. */
static bool override_method(const struct i4q_rewrite_arguments *a, struct i4q_recipe *target,
                            struct i4q_error *error)
{
    if (!override_scale(a, &target->method, target->format->bits, error))
        return false;
    if (a->rounding.word)
        target->method.rounding = (enum i4q_rounding)a->rounding.index;
    bool plain = target->method.scale == I4Q_SCALE_ABSMAX && target->method.rounding == I4Q_ROUND_NEAREST;
    if (target->format->fine && plain && a->calibration && !a->activations.word)
        return i4q_fail(
            error, I4Q_USAGE,
            "--calibration makes no difference to codes of --format %s, which are fine enough without: "
            "it needs --activations there",
            target->format->name);
    if (target->format->fine && !plain)
        return i4q_fail(error, I4Q_USAGE, "--format %s is for --method absmax only", target->format->name);
    if (i4q_method_needs_statistics(&target->method) && !a->calibration)
        return i4q_fail(error, I4Q_USAGE, "%s %s needs --calibration",
                        a->rounding.word ? "--rounding" : "--method",
                        a->rounding.word ? a->rounding.word : target->method.name);
    return true;
}

/* --rank: by the outputs of Convs rather than by their weights. */
static bool ranks_by_outputs(const struct i4q_rewrite_arguments *a)
{
    return a->rank.word && a->rank.index == I4Q_RANK_STATS;
}

/* The first of the options about forms that another one leaves no room for. */
static bool exclude(const char *option, const char *word, const struct i4q_rewrite_arguments *a,
                    bool other_form, bool other_domain, struct i4q_error *error)
{
    if (other_form)
        return i4q_fail(error, I4Q_USAGE, "%s %s cannot be combined with --decode %s", option, word,
                        a->decode.word);
    if (other_domain)
        return i4q_fail(error, I4Q_USAGE, "%s %s cannot be combined with --dq-domain %s", option, word,
                        a->dq_domain.word);
    return i4q_fail(error, I4Q_USAGE, "%s %s cannot be combined with --block", option, word);
}

/* FINN and hls4ml take no zero points: presets go without, and who asks for one is told. */
static bool check_zero_points(const struct i4q_rewrite_arguments *a, const struct i4q_recipe *target,
                              struct i4q_error *error)
{
    if (!target->format->floats || !target->method.asymmetric || !(a->asymmetric || a->scale.word))
        return true;
    return i4q_fail(error, I4Q_USAGE, "--format %s has no zero points, which %s asks for", a->format.word,
                    a->asymmetric ? "--asymmetric" : "--scale range");
}

/* Whether losses are estimated, and by outputs: where --rank says so, or where there are statistics and it
 * says nothing. */
static bool estimates_by_outputs(const struct i4q_rewrite_arguments *a)
{
    return a->rank.word ? ranks_by_outputs(a) : i4q_rewrite_mixes(a) && a->calibration;
}

static bool has_narrow_scales(const struct i4q_rewrite_arguments *a)
{
    return a->scale_type.index == I4Q_SCALES_AUTO ? i4q_rewrite_mixes(a)
                                                  : a->scale_type.index == I4Q_SCALES_FLOAT16;
}

static bool parse_target(const struct i4q_rewrite_arguments *a, struct i4q_recipe *target,
                         struct i4q_error *error)
{
    bool other_form = a->decode.index, other_domain = a->dq_domain.index;
    *target = (struct i4q_recipe){
        .format = i4q_format_find(i4q_format_word(a->format.index)),
        .method = i4q_methods[a->method.index],
        .form = i4q_form_find(i4q_form_word(a->decode.index), other_domain ? a->dq_domain.word : NULL),
        .block = a->block.value,
        .narrow = has_narrow_scales(a),
    };
    if (!override_method(a, target, error) || !check_zero_points(a, target, error))
        return false;
    if (target->narrow && !i4q_rewrite_mixes(a) && !target->format->packed)
        return i4q_fail(error, I4Q_USAGE, "--scale-type float16 is for packed formats, and --format is %s",
                        target->format->name);
    if (ranks_by_outputs(a) && !a->calibration)
        return i4q_fail(error, I4Q_USAGE, "--rank stats needs --calibration");
    bool streams = target->format->packed && target->form && target->form->execution == I4Q_COMPUTES;
    if (!i4q_format_is_integers(target->format) &&
        ((other_form && !streams) || other_domain || target->block))
        return exclude("--format", target->format->name, a, other_form && !streams, other_domain, error);
    if (other_domain && i4q_dtype_find(target->format->type)->dequantize > I4Q_OPSET_OF_MICROSOFT)
        return i4q_fail(error, I4Q_USAGE,
                        "--format %s cannot be combined with --dq-domain %s, which does not have the type",
                        target->format->name, a->dq_domain.word);
    if (other_domain && (other_form || target->block))
        return exclude("--dq-domain", a->dq_domain.word, a, other_form, false, error);
    return true;
}

/* One scale a channel, the quickest method; where the format is the target's, so is all else. */
static struct i4q_recipe kept_recipe(const struct i4q_rewrite_arguments *a, const struct i4q_recipe *target)
{
    const struct i4q_format *format = a->keep_format.word ? i4q_format_find(a->keep_format.word) : NULL;
    format = format ? i4q_format_of_kind(format, target->format) : NULL;
    return format == target->format
               ? *target
               : (struct i4q_recipe){.format = format, .form = target->form, .method = i4q_methods[0]};
}

bool i4q_rewrite_ops(const struct i4q_rewrite_arguments *a, unsigned *ops, struct i4q_error *error)
{
    *ops = a->op_types ? 0 : i4q_ops_conv();
    for (const char *at = a->op_types; at; at = *at == ',' ? at + 1 : NULL) {
        char op[32], all[128];
        size_t length = strcspn(at, ",");
        snprintf(op, sizeof op, "%.*s", (int)length, at);
        unsigned bit = i4q_conv_op_bits(op);
        i4q_cli_list(i4q_conv_op_word, ", ", all, sizeof all);
        if (!bit || length >= sizeof op)
            return i4q_fail(error, I4Q_USAGE, "--op-types: '%s' is none of %s", op, all);
        *ops |= bit;
        at += length;
    }
    return true;
}

/* N or N% */
static bool parse_quantize(const char *text, struct i4q_ranking *ranking, struct i4q_error *error)
{
    char digits[32];
    size_t length = strlen(text);
    bool percent = length && text[length - 1] == '%';
    snprintf(digits, sizeof digits, "%.*s", (int)(length - percent), text);
    ranking->has_count = true;
    ranking->mode = percent ? I4Q_RANK_QUANTIZE_PERCENT : I4Q_RANK_QUANTIZE;
    if (!i4q_cli_number("--quantize", digits, &ranking->count, error))
        return false;
    if (percent && ranking->count > 100)
        return i4q_fail(error, I4Q_USAGE, "--quantize: %s is more than all", text);
    return true;
}

/* A number, or a file that tells which; both where the option comes twice. */
static bool parse_keep(const struct i4q_patterns *given, struct i4q_activation_options *activations,
                       struct i4q_error *error)
{
    for (size_t i = 0; i < given->count; i++) {
        const char *text = given->items[i];
        bool is_number = strspn(text, "-.%0123456789") == strlen(text) && strcmp(text, "-") != 0;
        if (is_number && !i4q_cli_number("--keep-activations", text, &activations->keep, error))
            return false;
        if (!is_number && activations->keep_path)
            return i4q_fail(error, I4Q_USAGE, "--keep-activations: one file tells which, '%.200s' is another",
                            text);
        activations->has_keep |= is_number;
        activations->keep_path = is_number ? activations->keep_path : text;
    }
    return true;
}

static bool parse_activations(const struct i4q_rewrite_arguments *a,
                              struct i4q_activation_options *activations, struct i4q_error *error)
{
    const char *other = a->activation_range.word    ? "--activation-range"
                        : a->activation_scales.word ? "--activation-scales"
                        : a->keep_activations.count ? "--keep-activations"
                                                    : NULL;
    if (!a->activations.word)
        return !other || i4q_fail(error, I4Q_USAGE, "%s needs --activations", other);
    if (!a->calibration)
        return i4q_fail(error, I4Q_USAGE, "--activations needs --calibration");
    *activations = (struct i4q_activation_options){
        .levels = &i4q_levels[a->activations.index],
        .rule = (enum i4q_range_rule)a->activation_range.index,
        .per_channel = a->activation_scales.index,
        .correct = a->activation_scales.index,
    };
    return parse_keep(&a->keep_activations, activations, error);
}

/* What computes in 8 bits has activations of 8 bits, with one scale a tensor on both sides. */
static bool check_fused(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options,
                        struct i4q_error *error)
{
    const struct i4q_activation_options *activations = &options->activations;
    if (!options->target.form || options->target.form->execution != I4Q_FUSES)
        return true;
    if (!activations->levels || activations->levels->bits != 8)
        return i4q_fail(error, I4Q_USAGE, "--decode %s needs --activations uint8 or int8", a->decode.word);
    if (activations->per_channel)
        return i4q_fail(error, I4Q_USAGE, "--decode %s cannot be combined with --activation-scales %s",
                        a->decode.word, a->activation_scales.word);
    return !options->target.block ||
           i4q_fail(error, I4Q_USAGE, "--decode %s cannot be combined with --block", a->decode.word);
}

/* ---- options that make no difference */

static bool keeps_nothing(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options)
{
    return options->kept.format && !a->topk && !a->rank.word && !a->min_weights.value;
}

static bool corrects_nothing(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options)
{
    return a->no_bias_correction && !a->calibration && !options->target.method.propagate;
}

static bool needs_no_statistics(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options)
{
    return a->calibration && a->no_bias_correction && !a->activations.word &&
           !i4q_method_needs_statistics(&options->target.method) && !ranks_by_outputs(a);
}

static bool keeps_what_has_8_bits(const struct i4q_rewrite_arguments *a,
                                  const struct i4q_plan_options *options)
{
    return a->keep_activations.count && options->activations.levels->bits == 8 &&
           options->target.form->execution != I4Q_FUSES;
}

static bool has_no_patterns(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options)
{
    return a->allow_unmatched && !a->include.count && !a->exclude.count && !a->include_from.count &&
           !a->exclude_from.count;
}

static bool has_no_other_model(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options)
{
    return a->allow_other_model && !a->calibration;
}

static const struct {
    bool (*applies)(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options);
    const char *note;
} useless[] = {
    {keeps_nothing, "--keep-format: without --topk, --rank or --min-weights nothing is kept"},
    {corrects_nothing,
     "--no-bias-correction: without --calibration or --method squant no bias is corrected anyway"},
    {needs_no_statistics,
     "--calibration: with this method it tells of biases only, which --no-bias-correction leaves alone"},
    {has_no_other_model, "--allow-other-model: there is no --calibration"},
    {keeps_what_has_8_bits, "--keep-activations: all of them have 8 bits"},
    {has_no_patterns, "--allow-unmatched: there is no pattern"},
};

static bool note_useless(const struct i4q_rewrite_arguments *a, const struct i4q_plan_options *options,
                         struct i4q_patterns *notes)
{
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++)
        if (useless[i].applies(a, options) && !i4q_patterns_add(a->common.arena, notes, useless[i].note))
            return false;
    return true;
}

bool i4q_rewrite_plan_options(const struct i4q_rewrite_arguments *a, struct i4q_plan_options *options,
                              struct i4q_error *error)
{
    *options = (struct i4q_plan_options){
        .allow_unmatched = a->allow_unmatched,
        .topk = a->topk,
        .order = (enum i4q_topk_order)a->topk_order.index,
        .ranking = {a->keep.given || a->target_size, I4Q_RANK_KEEP, a->keep.value},
        .by_outputs = estimates_by_outputs(a),
        .min_weights = a->min_weights.value,
        .assume_constant = a->assume_constant,
        .import_all = a->import.word && a->import.index == I4Q_IMPORT_ALL,
        .only_import = a->import.word && !a->format.word && !a->method.word && !i4q_rewrite_mixes(a),
        .correct_bias = !a->no_bias_correction,
        .threads = i4q_cli_threads(&a->common)};
    if (!parse_target(a, &options->target, error) || !parse_activations(a, &options->activations, error) ||
        !check_fused(a, options, error) ||
        (a->quantize && !parse_quantize(a->quantize, &options->ranking, error)))
        return false;
    if (i4q_rewrite_mixes(a))
        options->ranking = (struct i4q_ranking){.mode = I4Q_RANK_WEIGH};
    options->kept = kept_recipe(a, &options->target);
    return note_useless(a, options, &options->notes) || i4q_fail_memory(error);
}

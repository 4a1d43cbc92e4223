// SPDX-License-Identifier: Apache-2.0
#include "cli/rewrite_choices.h"

#include "onnx/dtype.h"

#include <stdio.h>
#include <string.h>

enum { WORD = 32 };

bool i4q_rewrite_mixes(const struct i4q_rewrite_arguments *a)
{
    return a->bits || a->choices;
}

static bool fuses(const struct i4q_recipe *recipe)
{
    return recipe->form && recipe->form->execution == I4Q_FUSES;
}

/* Of a preset, what suits a choice: INT8 with zero points is not fused. */
static void suit_method(struct i4q_recipe *recipe)
{
    recipe->method = i4q_method_for_bits(&recipe->method, recipe->format->bits);
    if (fuses(recipe) && recipe->format->fine)
        recipe->method = i4q_method_symmetric(&recipe->method);
}

/* ---- words */

/* Whether codes of all widths stand as streams of bytes: 4 bits too, then. */
static bool streams(const struct i4q_recipe *target)
{
    return target->format->packed || (target->form && target->form->execution == I4Q_COMPUTES);
}

/* Bits mean the target's format where it has as many, streams where ONNX has no type, and else the first. */
static const struct i4q_format *format_of_bits(const struct i4q_recipe *target, const char *word)
{
    char digits[WORD];
    for (const struct i4q_format *format = i4q_formats; format->name; format++) {
        snprintf(digits, sizeof digits, "%u", format->bits);
        if (format->floats || strcmp(digits, word) != 0)
            continue;
        const struct i4q_format *packed = i4q_format_packed(format->bits);
        if (!streams(target) && target->format->bits == format->bits)
            return target->format;
        return packed && (streams(target) || format->bits != 4) ? packed : format;
    }
    return NULL;
}

static bool find_format(const struct i4q_recipe *target, const char *word, const struct i4q_format **format,
                        struct i4q_error *error)
{
    *format = i4q_format_find(word);
    if (!*format)
        *format = format_of_bits(target, word);
    if (*format || strcmp(word, i4q_format_keep_word(0)) == 0)
        return true;
    return i4q_fail(
        error, I4Q_USAGE,
        "--choices: '%s' is no format such as int4, not the bits of one (2, 3, 4, 5, 6, 8), and not "
        "float",
        word);
}

static bool find_block(const char *word, const char *text, size_t *block, struct i4q_error *error)
{
    if (!i4q_cli_number("--choices", text, block, error))
        return false;
    return *block || i4q_fail(error, I4Q_USAGE, "--choices: a block of 0 weights in '%s:%s'", word, text);
}

/* What a choice cannot have. */
static bool check(const struct i4q_rewrite_arguments *a, const struct i4q_recipe *choice, const char *word,
                  struct i4q_error *error)
{
    const struct i4q_format *format = choice->format;
    bool other_domain = a->dq_domain.index;
    if (format && format->floats)
        return i4q_fail(error, I4Q_USAGE, "--choices: %s stores floats, which have no fewer bytes", word);
    if (choice->block && (!format || format->packed))
        return i4q_fail(error, I4Q_USAGE, "--choices: '%s' has no blocks, which '%s:%zu' asks for", word,
                        word, choice->block);
    if (choice->block && fuses(choice))
        return i4q_fail(error, I4Q_USAGE, "--choices: blocks cannot be combined with --decode %s",
                        a->decode.word);
    if (choice->block && other_domain)
        return i4q_fail(error, I4Q_USAGE, "--choices: blocks cannot be combined with --dq-domain %s",
                        a->dq_domain.word);
    if (format && other_domain && i4q_dtype_find(format->type)->dequantize > I4Q_OPSET_OF_MICROSOFT)
        return i4q_fail(error, I4Q_USAGE,
                        "--choices: %s cannot be combined with --dq-domain %s, which does not have the type",
                        format->name, a->dq_domain.word);
    return true;
}

/* WORD or WORD:BLOCK, `length` characters of it. */
static bool parse_choice(const struct i4q_rewrite_arguments *a, const struct i4q_recipe *target,
                         const char *text, size_t length, struct i4q_recipe *choice, struct i4q_error *error)
{
    char word[WORD];
    snprintf(word, sizeof word, "%.*s", (int)(length < WORD ? length : WORD), text);
    char *block = strchr(word, ':');
    if (block)
        *block++ = '\0';
    *choice = (struct i4q_recipe){.form = target->form, .method = target->method, .narrow = target->narrow};
    if (!find_format(target, word, &choice->format, error) ||
        (block && !find_block(word, block, &choice->block, error)))
        return false;
    if (choice->format && !a->scale.word && !a->asymmetric)
        suit_method(choice);
    return check(a, choice, word, error);
}

/* ---- the list */

static const char *usual_choices(const struct i4q_rewrite_arguments *a, const struct i4q_recipe *target)
{
    return streams(target) ? "3,4,5,6,8" : a->dq_domain.index || fuses(target) ? "4,8" : "4,4:32,8";
}

/* What the choices must have together. */
static bool check_all(const struct i4q_rewrite_arguments *a, const struct i4q_recipe *choices, size_t count,
                      struct i4q_error *error)
{
    bool stores = false, narrows = false;
    for (size_t i = 0; i < count; i++) {
        stores |= choices[i].format != NULL;
        narrows |= choices[i].format && choices[i].format->packed;
    }
    if (!stores)
        return i4q_fail(error, I4Q_USAGE, "--choices: float alone leaves everything as it is");
    if (a->scale_type.index == I4Q_SCALES_FLOAT16 && !narrows)
        return i4q_fail(error, I4Q_USAGE,
                        "--scale-type float16 is for packed formats, and none of the choices is one");
    return true;
}

bool i4q_rewrite_choices(const struct i4q_rewrite_arguments *a, const struct i4q_recipe *target,
                         struct i4q_recipe *choices, size_t *count, struct i4q_error *error)
{
    *count = 0;
    if (!i4q_rewrite_mixes(a))
        return true;
    if (target->format->floats)
        return i4q_fail(error, I4Q_USAGE, "--format %s cannot be combined with %s: it stores floats",
                        a->format.word, a->bits ? "--bits" : "--choices");
    const char *at = a->choices ? a->choices : usual_choices(a, target);
    for (; at; at = *at ? at + 1 : NULL) {
        size_t length = strcspn(at, ",");
        if (*count == I4Q_OFFERS)
            return i4q_fail(error, I4Q_USAGE, "--choices: more than %d", I4Q_OFFERS);
        if (!parse_choice(a, target, at, length, &choices[(*count)++], error))
            return false;
        at += length;
    }
    return check_all(a, choices, *count, error);
}

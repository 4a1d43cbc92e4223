// SPDX-License-Identifier: Apache-2.0
#include "inspect/requirement.h"

#include "base/size.h"
#include "base/suggest.h"
#include "quantize/format.h"

#include <stdio.h>
#include <string.h>

enum { MOST_LETTERS = 64 };

static double conv_count(const struct i4q_inspection *inspection, size_t bytes, unsigned bits)
{
    return (double)inspection->n_rows;
}

static double file_size(const struct i4q_inspection *inspection, size_t bytes, unsigned bits)
{
    return (double)bytes;
}

static double opset(const struct i4q_inspection *inspection, size_t bytes, unsigned bits)
{
    return (double)inspection->opset;
}

static double ir_version(const struct i4q_inspection *inspection, size_t bytes, unsigned bits)
{
    return (double)inspection->model->proto->ir_version;
}

static double valid(const struct i4q_inspection *inspection, size_t bytes, unsigned bits)
{
    return inspection->problems.count == 0;
}

static double activations(const struct i4q_inspection *inspection, size_t bytes, unsigned bits)
{
    return (double)i4q_inspection_activations(inspection, bits);
}

static double quants(const struct i4q_inspection *inspection, size_t bytes, unsigned bits)
{
    return (double)inspection->n_fakes;
}

static const struct subject {
    const char *name;
    double (*value)(const struct i4q_inspection *inspection, size_t bytes, unsigned bits);
    bool alone;    /* stands without a relation and a number */
    unsigned bits; /* of what is counted, where that has some */
} subjects[] = {
    {"convs", conv_count, false, 0}, {"size", file_size, false, 0},     {"opset", opset, false, 0},
    {"ir", ir_version, false, 0},    {"valid", valid, true, 0},         {"act", activations, false, 0},
    {"act2", activations, false, 2}, {"act3", activations, false, 3},   {"act4", activations, false, 4},
    {"act5", activations, false, 5}, {"act6", activations, false, 6},   {"act7", activations, false, 7},
    {"act8", activations, false, 8}, {"act16", activations, false, 16}, {"quants", quants, false, 0},
};

static bool less(double a, double b)
{
    return a < b;
}

static bool greater(double a, double b)
{
    return a > b;
}

/* Counts and sizes are integers below 2^53, which binary64 holds exactly. */
static bool equal(double a, double b)
{
    return !less(a, b) && !greater(a, b);
}

static const struct relation {
    const char *sign;
    bool (*test)(double a, double b);
    bool negated;
} relations[] = {
    /* the longer signs first: < begins <= */
    {"<=", greater, true}, {">=", less, true},    {"==", equal, false}, {"!=", equal, true},
    {"<", less, false},    {">", greater, false}, {"=", equal, false},
};

static bool is_word(const char *word, const char *text, size_t length)
{
    return strlen(word) == length && memcmp(word, text, length) == 0;
}

/* Of a word for a kind, or another one that --format takes for it; NULL: it is none. */
static const char *find_kind(const char *word, size_t length)
{
    for (size_t i = 0; i4q_kind_word(i); i++)
        if (is_word(i4q_kind_word(i), word, length))
            return i4q_kind_word(i);
    for (size_t i = 0; i4q_format_word(i); i++) {
        const struct i4q_format *format = i4q_format_find(i4q_format_word(i));
        if (!format->floats && is_word(i4q_format_word(i), word, length))
            return format->name;
    }
    return NULL;
}

static bool find_subject(const char **text, struct i4q_requirement *requirement)
{
    const char *word = *text;
    size_t length = strcspn(word, "<>=!");
    *text += length;
    requirement->kind = find_kind(word, length);
    if (requirement->kind)
        return true;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        if (is_word(subjects[i].name, word, length)) {
            requirement->subject = i;
            return true;
        }
    return false;
}

static bool stands_alone(const struct i4q_requirement *requirement)
{
    return !requirement->kind && subjects[requirement->subject].alone;
}

static bool find_relation(const char **text, size_t *relation)
{
    for (*relation = 0; *relation < sizeof relations / sizeof *relations; ++*relation) {
        size_t length = strlen(relations[*relation].sign);
        if (strncmp(*text, relations[*relation].sign, length) == 0) {
            *text += length;
            return true;
        }
    }
    return false;
}

static bool refuse(const char *text, struct i4q_error *error)
{
    char word[MOST_LETTERS];
    struct i4q_suggestion near = {.word = word};
    snprintf(word, sizeof word, "%.*s", (int)strcspn(text, "<>=!"), text);
    for (size_t i = 0; i4q_kind_word(i); i++)
        i4q_suggest(&near, i4q_kind_word(i));
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        i4q_suggest(&near, subjects[i].name);
    bool known = near.found && strcmp(near.found, word) == 0;
    return i4q_fail(error, I4Q_USAGE,
                    "--require: '%s' is no requirement such as int4>=82, size<9M or valid%s%s%s", text,
                    near.found && !known ? "; did you mean '" : "", near.found && !known ? near.found : "",
                    near.found && !known ? "'?" : "");
}

bool i4q_requirement_parse(const char *text, struct i4q_requirement *requirement, struct i4q_error *error)
{
    const char *rest = text;
    *requirement = (struct i4q_requirement){.text = text};
    bool ok = find_subject(&rest, requirement);
    if (ok && stands_alone(requirement))
        ok = *rest == '\0';
    else
        ok = ok && find_relation(&rest, &requirement->relation) && i4q_size_parse(rest, &requirement->number);
    return ok || refuse(text, error);
}

void i4q_requirement_check(struct i4q_requirement *requirement, const struct i4q_inspection *inspection,
                           size_t bytes)
{
    const struct relation *relation = &relations[requirement->relation];
    const struct subject *subject = &subjects[requirement->subject];
    requirement->value = requirement->kind ? (double)i4q_inspection_total(inspection, requirement->kind)
                                           : subject->value(inspection, bytes, subject->bits);
    requirement->holds = stands_alone(requirement)
                             ? requirement->value != 0
                             : relation->test(requirement->value, requirement->number) != relation->negated;
}

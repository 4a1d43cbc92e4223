// SPDX-License-Identifier: Apache-2.0
#include "inspect/requirement.h"

#include "base/size.h"

#include <string.h>

static double kind_count(const struct i4q_inspection *inspection, size_t bytes, enum i4q_kind kind)
{
    return (double)inspection->totals[kind];
}

static double conv_count(const struct i4q_inspection *inspection, size_t bytes, enum i4q_kind kind)
{
    return (double)inspection->n_rows;
}

static double file_size(const struct i4q_inspection *inspection, size_t bytes, enum i4q_kind kind)
{
    return (double)bytes;
}

static double opset(const struct i4q_inspection *inspection, size_t bytes, enum i4q_kind kind)
{
    return (double)inspection->opset;
}

static double ir_version(const struct i4q_inspection *inspection, size_t bytes, enum i4q_kind kind)
{
    return (double)inspection->model->proto->ir_version;
}

static double valid(const struct i4q_inspection *inspection, size_t bytes, enum i4q_kind kind)
{
    return inspection->problems.count == 0;
}

static const struct subject {
    const char *name;
    double (*value)(const struct i4q_inspection *inspection, size_t bytes, enum i4q_kind kind);
    enum i4q_kind kind; /* for kind_count */
    bool alone;         /* stands without a relation and a number */
} subjects[] = {
    {"int4", kind_count, I4Q_KIND_INT4, false},
    {"uint4", kind_count, I4Q_KIND_UINT4, false},
    {"int8", kind_count, I4Q_KIND_INT8, false},
    {"packed-u8", kind_count, I4Q_KIND_PACKED_U8, false},
    {"float", kind_count, I4Q_KIND_FLOAT, false},
    {"other", kind_count, I4Q_KIND_OTHER, false},
    {"convs", conv_count, 0, false},
    {"size", file_size, 0, false},
    {"opset", opset, 0, false},
    {"ir", ir_version, 0, false},
    {"valid", valid, 0, true},
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
    {"<=", greater, true}, {">=", less, true}, {"==", equal, false},
    {"!=", equal, true},   {"<", less, false}, {">", greater, false},
};

static bool find_subject(const char **text, size_t *subject)
{
    size_t length = strcspn(*text, "<>=!");
    for (*subject = 0; *subject < sizeof subjects / sizeof *subjects; ++*subject) {
        const char *name = subjects[*subject].name;
        if (strlen(name) == length && memcmp(name, *text, length) == 0) {
            *text += length;
            return true;
        }
    }
    return false;
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

bool i4q_requirement_parse(const char *text, struct i4q_requirement *requirement, struct i4q_error *error)
{
    const char *rest = text;
    *requirement = (struct i4q_requirement){.text = text};
    bool ok = find_subject(&rest, &requirement->subject);
    if (ok && subjects[requirement->subject].alone)
        ok = *rest == '\0';
    else
        ok = ok && find_relation(&rest, &requirement->relation) && i4q_size_parse(rest, &requirement->number);
    return ok || i4q_fail(error, I4Q_USAGE,
                          "--require: '%s' is no requirement such as int4>=82, size<9M or valid", text);
}

void i4q_requirement_check(struct i4q_requirement *requirement, const struct i4q_inspection *inspection,
                           size_t bytes)
{
    const struct subject *subject = &subjects[requirement->subject];
    const struct relation *relation = &relations[requirement->relation];
    requirement->value = subject->value(inspection, bytes, subject->kind);
    requirement->holds = subject->alone
                             ? requirement->value != 0
                             : relation->test(requirement->value, requirement->number) != relation->negated;
}

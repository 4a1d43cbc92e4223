// SPDX-License-Identifier: Apache-2.0
/* Why a Conv is left as it is, one row of a table each. */
#ifndef INT4Q_PLAN_REASONS_H
#define INT4Q_PLAN_REASONS_H

#include "forms/origin.h"
#include "forms/weights.h"
#include "plan/patterns.h"

/* In the order in which they are looked for: the first that applies is the reason. */
enum i4q_reason {
    I4Q_QUANTIZED, /* none: the weight gets the plan's format */
    I4Q_REASON_EXCLUDED,
    I4Q_REASON_NOT_INCLUDED,
    I4Q_REASON_IMPORTED, /* none: the weight is stored as the integers that it stands for */
    I4Q_REASON_SCALE_COMPUTED,
    I4Q_REASON_SCALE_SHAPE,
    I4Q_REASON_SCALE_VALUE,
    I4Q_REASON_ZERO_POINT,
    I4Q_REASON_BIT_WIDTH,
    I4Q_REASON_ROUNDING,
    I4Q_REASON_FLOAT_QUANT,
    I4Q_REASON_ALREADY_QUANTIZED,
    I4Q_REASON_FUNCTION,
    I4Q_REASON_CUSTOM_CONV,
    I4Q_REASON_WEIGHT_COMPUTED,
    I4Q_REASON_WEIGHT_IS_INPUT,
    I4Q_REASON_WEIGHT_IS_OUTPUT,
    I4Q_REASON_WEIGHT_SHARED_WITH_OTHER_OP,
    I4Q_REASON_SPARSE,
    I4Q_REASON_DTYPE,
    I4Q_REASON_SHAPE,
    I4Q_REASON_EMPTY,
    I4Q_REASON_IMPORT_ONLY,
    I4Q_REASON_DFL,
    I4Q_REASON_SMALL,
    I4Q_REASON_SENSITIVE,
    I4Q_REASON_UNMEASURED,
    I4Q_REASON_NON_FINITE,
    I4Q_REASON_SHARED,
    I4Q_REASONS,
};

/* A Conv, and what it is judged by. */
struct i4q_candidate {
    const struct i4q_conv *conv;
    const struct i4q_weight *weight; /* NULL unless it is stored */
    enum i4q_choice choice;          /* by the user's patterns */
    bool exact;                      /* an --include pattern is its very name */
};

struct i4q_criteria {
    const struct i4q_scope *main_graph;
    bool import;              /* weights that stand for integers already are stored as these */
    bool only_import;         /* and no others are stored */
    bool inputs_are_constant; /* initializers that are inputs of the main graph are constants all the same */
    size_t min_weights;
};

struct i4q_reason_row {
    const char *word;     /* in reports; NULL where the weight is stored as integers */
    const char *meaning;  /* a few words for people */
    const char *ranked;   /* the same where --rank stands in for --topk; NULL: it makes no difference */
    bool strict;          /* with --strict, a Conv left for it is an error */
    bool kept;            /* what is left for it is kept, by the recipe for that */
    enum i4q_fault fault; /* of an origin, that it tells of; I4Q_FAULT_NONE: of none */
    /* Whether a Conv has it by itself, given that it has none before; NULL: a plan finds out. */
    bool (*applies)(const struct i4q_candidate *candidate, const struct i4q_criteria *criteria);
};
extern const struct i4q_reason_row i4q_reasons[I4Q_REASONS];

/* The first reason that a Conv has by itself. */
enum i4q_reason i4q_reason_find(const struct i4q_candidate *candidate, const struct i4q_criteria *criteria);

/* The reason that tells of the fault of an origin; without one the weight is imported. */
enum i4q_reason i4q_reason_of_fault(enum i4q_fault fault);

/* The meaning of a reason in a plan that was made with --rank, or without. */
const char *i4q_reason_meaning(enum i4q_reason reason, bool ranked);

#endif

// SPDX-License-Identifier: Apache-2.0
/* --target-size, --bits: the best plan of a ladder of them that is within a budget. */
#ifndef INT4Q_PLAN_BUDGET_H
#define INT4Q_PLAN_BUDGET_H

#include "plan/plan.h"

/* Plans of which each is better than the one before, and takes more bytes: rung 0 is the smallest. */
struct i4q_ladder {
    size_t rungs; /* the highest */
    const char
        *top; /* what is noted of a plan that is on it, and takes less than the budget; NULL: nothing */
    bool (*climb)(void *context, struct i4q_plan *plan, size_t rung, struct i4q_error *error);
    void *context;
};

/* Of the plan: the Convs that are kept, the most sensitive first. */
struct i4q_ladder i4q_ladder_of_ranks(const struct i4q_plan *plan);

struct i4q_budget {
    const char *option; /* for errors */
    size_t limit;       /* bytes of the output; not looked at where there is no price */
    /* The exact size of what a plan comes to. NULL: what counts is stored bits a weight. */
    bool (*price)(void *context, const struct i4q_plan *plan, size_t *bytes, struct i4q_error *error);
    void *context;
    double bits;                       /* at most so many */
    const struct i4q_kernels *kernels; /* for a look at the weights: what is not finite has to stay */
    unsigned threads;
};

/* A size, or a percentage of `input` bytes; I4Q_USAGE when the text is neither. */
bool i4q_budget_parse(const char *text, size_t input, size_t *limit, struct i4q_error *error) I4Q_MUST_CHECK;

/* Bits a weight, as 4.5; I4Q_USAGE when the text is no number above 0 and up to 64. */
bool i4q_budget_parse_bits(const char *text, double *bits, struct i4q_error *error) I4Q_MUST_CHECK;

/* Puts the plan on the highest rung that fits, which bisection tells: a larger budget never ends on a lower
 * one. Takes it that a higher rung never takes fewer bytes; where a tiny weight breaks that rule, a lower
 * rung may be found than could be. I4Q_UNMET: not even rung 0 fits (naming what it takes); else the errors of
 * the ladder and of the price. */
bool i4q_budget_fit(struct i4q_plan *plan, const struct i4q_ladder *ladder, const struct i4q_budget *budget,
                    struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* --target-size: how many of the most sensitive Convs can be kept in an output of at most so many bytes. */
#ifndef INT4Q_PLAN_BUDGET_H
#define INT4Q_PLAN_BUDGET_H

#include "plan/plan.h"

struct i4q_budget {
    size_t limit; /* bytes */
    /* The exact size of what a plan comes to. */
    bool (*price)(void *context, const struct i4q_plan *plan, size_t *bytes, struct i4q_error *error);
    void *context;
    const struct i4q_kernels *kernels; /* for a look at the weights: what is not finite has to stay */
    unsigned threads;
};

/* A size, or a percentage of `input` bytes; I4Q_USAGE when the text is neither. */
bool i4q_budget_parse(const char *text, size_t input, size_t *limit, struct i4q_error *error) I4Q_MUST_CHECK;

/* Makes the plan keep as many Convs as fit, which bisection tells. Takes it that keeping one Conv more never
 * makes the output smaller; where a tiny weight breaks that rule, fewer may be kept than could be. I4Q_UNMET:
 * not even an output that keeps none fits (naming its size); else the errors of planning and of the price. */
bool i4q_budget_fit(struct i4q_plan *plan, const struct i4q_budget *budget,
                    struct i4q_error *error) I4Q_MUST_CHECK;

#endif

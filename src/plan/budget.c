// SPDX-License-Identifier: Apache-2.0
#include "plan/budget.h"

#include "base/size.h"
#include "plan/planner.h"

#include <stdio.h>
#include <string.h>

static const double MOST_BYTES = 1e15;

bool i4q_budget_parse(const char *text, size_t input, size_t *limit, struct i4q_error *error)
{
    char number[64];
    double size;
    size_t length = strlen(text);
    bool percent = length && text[length - 1] == '%';
    snprintf(number, sizeof number, "%.*s", (int)(length - percent), text);
    bool ok = length < sizeof number && i4q_size_parse(number, &size);
    if (ok && percent)
        ok = strspn(number, "0123456789.") == strlen(number);
    if (!ok)
        return i4q_fail(error, I4Q_USAGE, "--target-size: '%s' is no size such as 8500000, 8.5M, 8Mi or 12%%",
                        text);
    double bytes = percent ? (double)input * size / 100 : size;
    if (bytes > MOST_BYTES || size > MOST_BYTES)
        return i4q_fail(error, I4Q_USAGE, "--target-size: '%s' is more than any file has", text);
    *limit = (size_t)bytes;
    return true;
}

/* Every weight that some ranking could have stored. */
static bool look_through(const struct i4q_plan *plan, const struct i4q_budget *budget)
{
    struct i4q_weights *facts = plan->facts;
    bool *wanted = i4q_arena_alloc(&facts->model->arena, facts->count, sizeof *wanted);
    for (size_t i = 0; wanted && i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (row->weight && (!row->own || i4q_reasons[row->own].kept))
            wanted[row->weight - plan->weights] = true;
    }
    if (wanted)
        i4q_weights_look_through(facts, wanted, budget->kernels, budget->threads);
    return wanted;
}

/* The size of the output that keeps `keep` Convs. */
static bool try(struct i4q_plan *plan, const struct i4q_budget *budget, size_t keep, size_t *bytes,
                struct i4q_error *error)
{
    return i4q_plan_keep(plan, keep, error) && budget->price(budget->context, plan, bytes, error);
}

bool i4q_budget_fit(struct i4q_plan *plan, const struct i4q_budget *budget, struct i4q_error *error)
{
    size_t bytes, low = 0, high = 0;
    if (!look_through(plan, budget))
        return i4q_fail_memory(error);
    if (!try(plan, budget, 0, &bytes, error))
        return false;
    if (bytes > budget->limit)
        return i4q_fail(
            error, I4Q_UNMET,
            "--target-size: the smallest possible output has %zu bytes, more than the %zu asked for", bytes,
            budget->limit);
    for (size_t i = 0; i < plan->n_rows; i++)
        high += plan->rows[i].measurement.present;
    /* `low` fits; nothing above `high` is to be tried. */
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (!try(plan, budget, middle, &bytes, error))
            return false;
        if (bytes <= budget->limit)
            low = middle;
        else
            high = middle - 1;
    }
    return i4q_plan_keep(plan, low, error);
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/budget.h"

#include "base/size.h"
#include "plan/planner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double MOST_BYTES = 1e15, MOST_BITS = 64;

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

bool i4q_budget_parse_bits(const char *text, double *bits, struct i4q_error *error)
{
    bool ok = *text && strspn(text, "0123456789.") == strlen(text) && i4q_size_parse(text, bits);
    return (ok && *bits > 0 && *bits <= MOST_BITS) ||
           i4q_fail(error, I4Q_USAGE, "--bits: '%s' is no number of bits a weight such as 4.5", text);
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

static bool keep(void *context, struct i4q_plan *plan, size_t rung, struct i4q_error *error)
{
    return i4q_plan_keep(plan, rung, error);
}

struct i4q_ladder i4q_ladder_of_ranks(const struct i4q_plan *plan)
{
    struct i4q_ladder ladder = {.climb = keep};
    for (size_t i = 0; i < plan->n_rows; i++)
        ladder.rungs += plan->rows[i].measurement.present;
    return ladder;
}

/* What a rung takes, in the measure of the budget, and whether that fits. */
struct trial {
    size_t bytes;
    double bits;
    bool fits;
};

static bool try(struct i4q_plan *plan, const struct i4q_ladder *ladder, size_t rung,
                const struct i4q_budget *budget, struct trial *trial, struct i4q_error *error)
{
    if (!ladder->climb(ladder->context, plan, rung, error))
        return false;
    if (!budget->price) {
        struct i4q_tally tally = i4q_plan_tally(plan);
        trial->bits = i4q_tally_bits(&tally);
        trial->fits = !(trial->bits > budget->bits); /* NAN: there is no weight to be paid for */
        return true;
    }
    bool ok = budget->price(budget->context, plan, &trial->bytes, error);
    trial->fits = trial->bytes <= budget->limit;
    return ok;
}

static bool refuse(const struct i4q_budget *budget, const struct trial *least, struct i4q_error *error)
{
    if (budget->price)
        return i4q_fail(error, I4Q_UNMET,
                        "%s: the smallest possible output has %zu bytes, more than the %zu asked for",
                        budget->option, least->bytes, budget->limit);
    return i4q_fail(error, I4Q_UNMET,
                    "%s: the least that is possible is %.4f bits a weight, more than the %.10g asked for",
                    budget->option, ceil(least->bits * 1e4) / 1e4, budget->bits);
}

static bool note_top(struct i4q_plan *plan, const struct i4q_ladder *ladder, size_t rung,
                     const struct i4q_budget *budget, struct i4q_error *error)
{
    struct i4q_arena *arena = &plan->facts->model->arena;
    return !ladder->top || rung < ladder->rungs ||
           i4q_plan_note(plan, i4q_arena_format(arena, "%s: %s", budget->option, ladder->top)) ||
           i4q_fail_memory(error);
}

bool i4q_budget_fit(struct i4q_plan *plan, const struct i4q_ladder *ladder, const struct i4q_budget *budget,
                    struct i4q_error *error)
{
    struct trial trial;
    size_t low = 0, high = ladder->rungs;
    if (!look_through(plan, budget))
        return i4q_fail_memory(error);
    if (!try(plan, ladder, 0, budget, &trial, error))
        return false;
    if (!trial.fits)
        return refuse(budget, &trial, error);
    /* `low` fits; nothing above `high` is to be tried. */
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (!try(plan, ladder, middle, budget, &trial, error))
            return false;
        if (trial.fits)
            low = middle;
        else
            high = middle - 1;
    }
    return ladder->climb(ladder->context, plan, low, error) && note_top(plan, ladder, low, budget, error);
}

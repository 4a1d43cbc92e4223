// SPDX-License-Identifier: Apache-2.0
#include "plan/mixture.h"

#include "plan/planner.h"

#include <math.h>
#include <string.h>

/* ---- what each weight may get */

static bool is_chosen(const struct i4q_plan_weight *weight)
{
    return weight->chosen && !weight->kept && !weight->left;
}

/* Weights of which one recipe cannot be told, as those with a NaN, are no items. */
static size_t list_items(const struct i4q_plan *plan, struct i4q_mixture *mixture)
{
    size_t items = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        bool known = is_chosen(&plan->weights[i]);
        for (size_t r = 0; known && r < mixture->n_recipes; r++)
            known = isfinite(mixture->prospects[i * mixture->n_recipes + r].loss);
        if (known)
            mixture->weights[items++] = i;
    }
    return items;
}

/* ---- scores as weights */

/* The worst measurement of the Convs that read each weight; its score is NAN where there is none. */
static void collect_scores(const struct i4q_plan *plan, double *scores, double *noises)
{
    for (size_t i = 0; i < plan->n_weights; i++)
        scores[i] = NAN;
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        size_t at = row->weight ? (size_t)(row->weight - plan->weights) : 0;
        if (!row->weight || !row->measurement.present || row->measurement.worse <= scores[at])
            continue;
        scores[at] = row->measurement.worse;
        noises[at] = row->measurement.noise;
    }
}

/* Noises of the codes of some scores, and estimates for the others, differ by orders of magnitude: all are
 * dropped unless all are known. A score of 0 needs none. */
static bool drop_partial_noises(struct i4q_plan *plan, const double *scores, double *noises)
{
    size_t scored = 0, known = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        scored += scores[i] > 0;
        known += scores[i] > 0 && noises[i] > 0;
    }
    if (!known || known == scored)
        return true;
    memset(noises, 0, plan->n_weights * sizeof *noises);
    return i4q_plan_note(plan, i4q_arena_format(&plan->facts->model->arena,
                                                "--topk: %zu of %zu scores have a noise in the file: it is "
                                                "not used, and all are divided by that of absmax",
                                                known, scored));
}

/* Scores become losses of a unit of noise: divided by the noise that they were measured at, which is that of
 * absmax where the file does not tell. */
static bool divide_by_noise(const struct i4q_estimate *estimate, struct i4q_arena *arena, double *scores,
                            const double *noises, struct i4q_error *error)
{
    struct i4q_estimate by_weights = *estimate;
    struct i4q_prospect *measured;
    const struct i4q_recipe int4 = {i4q_formats, estimate->options->target.form, i4q_methods[0], 0};
    by_weights.by_outputs = false;
    if (!i4q_forecast(&by_weights, &int4, 1, arena, &measured, error))
        return false;
    for (size_t i = 0; i < estimate->facts->count; i++) {
        if (scores[i] < 0)
            return i4q_fail(error, I4Q_USAGE,
                            "%s: a score of %g is no loss: with --bits or --choices they are to be 0 or more",
                            estimate->options->topk, scores[i]);
        double noise = noises[i] > 0 ? noises[i] : measured[i].loss;
        scores[i] = noise > 0 ? scores[i] / noise : NAN;
    }
    return true;
}

/* Of mean 1; those that are not known have the mean. */
static void normalize(double *scores, size_t count)
{
    double sum = 0, known = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(scores[i])) {
            sum += scores[i];
            known++;
        }
    for (size_t i = 0; i < count; i++)
        scores[i] = isfinite(scores[i]) && sum > 0 ? scores[i] * known / sum : 1;
}

/* How much the losses of each weight count; all alike without scores. */
static double *find_weights(struct i4q_plan *plan, const struct i4q_estimate *estimate,
                            struct i4q_arena *arena, struct i4q_error *error)
{
    double *scores = i4q_arena_alloc(arena, plan->n_weights, sizeof *scores);
    double *noises = i4q_arena_alloc(arena, plan->n_weights, sizeof *noises);
    if ((!scores || !noises) && !i4q_fail_memory(error))
        return NULL;
    collect_scores(plan, scores, noises);
    if (!drop_partial_noises(plan, scores, noises) && !i4q_fail_memory(error))
        return NULL;
    if (plan->sensitivity.scored && !divide_by_noise(estimate, arena, scores, noises, error))
        return NULL;
    normalize(scores, plan->n_weights);
    return scores;
}

/* ---- plans of a mixture */

/* Gives the plan's weights what the items have taken. */
static bool apply(const struct i4q_mixture *mixture, struct i4q_plan *plan, struct i4q_error *error)
{
    const struct i4q_allocation *allocation = &mixture->allocation;
    plan->mixture = mixture;
    plan->estimated = !plan->has_sensitivity;
    plan->predicted_loss = i4q_allocation_sum(allocation, mixture->taken).loss;
    for (size_t i = 0; i < allocation->items; i++) {
        struct i4q_plan_weight *weight = &plan->weights[mixture->weights[i]];
        weight->choice = &mixture->recipes[mixture->taken[i]];
        weight->predicted_loss = allocation->table[i * allocation->offers + mixture->taken[i]].loss;
    }
    return i4q_plan_choose(plan, error);
}

static bool climb(void *context, struct i4q_plan *plan, size_t rung, struct i4q_error *error)
{
    struct i4q_mixture *mixture = context;
    i4q_allocation_take(&mixture->allocation, rung, mixture->taken);
    return apply(mixture, plan, error);
}

/* ---- the mixture */

static struct i4q_offer *make_offers(const struct i4q_mixture *mixture, size_t items, const double *weights,
                                     struct i4q_arena *arena)
{
    size_t n = mixture->n_recipes;
    struct i4q_offer *offers = i4q_arena_alloc(arena, items * n, sizeof *offers);
    for (size_t i = 0; offers && i < items * n; i++) {
        size_t weight = mixture->weights[i / n];
        const struct i4q_prospect *prospect = &mixture->prospects[weight * n + i % n];
        offers[i] = (struct i4q_offer){prospect->bytes, prospect->loss * weights[weight]};
    }
    return offers;
}

/* What a file has beside the weights when all items take one recipe. */
static bool price_rest(const struct i4q_mixture *mixture, struct i4q_plan *plan,
                       const struct i4q_budget *budget, uint8_t recipe, size_t *rest, struct i4q_error *error)
{
    size_t bytes;
    memset(mixture->taken, recipe, mixture->allocation.items);
    if (!apply(mixture, plan, error) || !budget->price(budget->context, plan, &bytes, error))
        return false;
    size_t weights = i4q_allocation_sum(&mixture->allocation, mixture->taken).bytes;
    *rest = bytes > weights ? bytes - weights : 0;
    return true;
}

/* Nodes and names, which differ by the form of a recipe, are a part of its price: on average. */
static bool add_rests(const struct i4q_mixture *mixture, struct i4q_plan *plan,
                      const struct i4q_budget *budget, struct i4q_offer *offers, struct i4q_error *error)
{
    size_t items = mixture->allocation.items, n = mixture->n_recipes, least = SIZE_MAX;
    size_t rests[I4Q_OFFERS] = {0};
    for (size_t r = 0; r < n; r++) {
        if (!price_rest(mixture, plan, budget, (uint8_t)r, &rests[r], error))
            return false;
        least = rests[r] < least ? rests[r] : least;
    }
    for (size_t i = 0; i < items * n; i++)
        offers[i].bytes += (rests[i % n] - least) / items;
    return true;
}

static bool allocate(struct i4q_plan *plan, const double *weights, const struct i4q_budget *budget,
                     struct i4q_arena *arena, struct i4q_mixture *mixture, struct i4q_error *error)
{
    size_t items = list_items(plan, mixture), n = mixture->n_recipes;
    struct i4q_offer *offers = make_offers(mixture, items, weights, arena);
    mixture->taken = i4q_arena_alloc(arena, items, 1);
    mixture->room = i4q_arena_alloc(arena, items, 1);
    if (!offers || !mixture->taken || !mixture->room)
        return i4q_fail_memory(error);
    mixture->allocation = (struct i4q_allocation){.items = items, .offers = n, .table = offers};
    return (!budget->price || !items || add_rests(mixture, plan, budget, offers, error)) &&
           i4q_allocate(offers, items, n, arena, &mixture->allocation, error);
}

bool i4q_mixture_make(struct i4q_plan *plan, const struct i4q_estimate *estimate,
                      const struct i4q_recipe *recipes, size_t count, const struct i4q_budget *budget,
                      struct i4q_arena *arena, struct i4q_mixture *mixture, struct i4q_error *error)
{
    struct i4q_prospect *prospects;
    *mixture = (struct i4q_mixture){.recipes = recipes, .n_recipes = count};
    mixture->weights = i4q_arena_alloc(arena, plan->n_weights, sizeof *mixture->weights);
    if (!mixture->weights)
        return i4q_fail_memory(error);
    const double *weights = find_weights(plan, estimate, arena, error);
    if (!weights || !i4q_forecast(estimate, recipes, count, arena, &prospects, error))
        return false;
    mixture->prospects = prospects;
    return allocate(plan, weights, budget, arena, mixture, error);
}

struct i4q_ladder i4q_mixture_ladder(struct i4q_mixture *mixture)
{
    return (struct i4q_ladder){.rungs = mixture->allocation.rungs,
                               .top =
                                   "every Conv has the best of its choices, and more bytes would buy nothing",
                               .climb = climb,
                               .context = mixture};
}

struct i4q_offer i4q_mixture_beyond(const struct i4q_mixture *mixture, double more)
{
    const struct i4q_allocation *allocation = &mixture->allocation;
    struct i4q_offer now = i4q_allocation_sum(allocation, mixture->taken), best = now;
    size_t low = 0, high = allocation->rungs;
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        i4q_allocation_take(allocation, middle, mixture->room);
        struct i4q_offer found = i4q_allocation_sum(allocation, mixture->room);
        bool fits = (double)found.bytes <= (1 + more) * (double)now.bytes;
        if (fits && found.loss <= best.loss)
            best = found;
        low = fits ? middle : low;
        high = fits ? high : middle - 1;
    }
    best.bytes -= now.bytes;
    return best;
}

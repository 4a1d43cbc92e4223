// SPDX-License-Identifier: Apache-2.0
#include "plan/rank.h"

#include "onnx/trial.h"
#include "plan/apply.h"
#include "plan/planner.h"

#include <math.h>

/* The weights that a plan, once quantized, has stored; those that stay float lose nothing. */
static struct i4q_prospect prospect_of(const struct i4q_plan *plan, const struct i4q_plan_weight *weight)
{
    const struct i4q_quantize_job *job = weight->job;
    struct i4q_prospect prospect = {i4q_plan_weight_bytes(weight), NAN};
    if (!weight->recipe || !job)
        return prospect;
    bool known = job->output_signal > 0;
    double signal = known ? job->output_signal : job->signal, noise = known ? job->output_noise : job->noise;
    prospect.loss = signal > 0 ? noise / signal : 0;
    return prospect;
}

/* How the recipe is measured. */
static struct i4q_recipe measured(const struct i4q_estimate *estimate, const struct i4q_recipe *recipe)
{
    struct i4q_recipe how = *recipe;
    enum i4q_rounding *rounding = &how.method.rounding;
    how.method.propagate = false;
    if (estimate->by_outputs)
        *rounding = i4q_method_needs_statistics(&how.method) ? I4Q_ROUND_DESCENT : I4Q_ROUND_ESTIMATE;
    else if (i4q_method_needs_statistics(&how.method))
        *rounding = I4Q_ROUND_SQUANT;
    return how;
}

static bool quantize_all(const struct i4q_estimate *estimate, const struct i4q_recipe *recipe,
                         struct i4q_plan *plan, struct i4q_error *error)
{
    struct i4q_plan_options options = *estimate->options;
    options.topk = NULL;
    options.ranking.has_count = false;
    options.target = *recipe;
    return i4q_plan_make(estimate->facts, &options, plan, error) &&
           i4q_plan_quantize(plan, estimate->kernels, estimate->threads, error);
}

/* Column `at` of the table. */
static bool forecast(const struct i4q_estimate *estimate, const struct i4q_recipe *recipe,
                     struct i4q_prospect *table, size_t at, size_t count, struct i4q_error *error)
{
    struct i4q_trial trial;
    struct i4q_plan plan;
    i4q_trial_begin(&trial, estimate->facts->model);
    bool ok = quantize_all(estimate, recipe, &plan, error);
    for (size_t i = 0; ok && i < plan.n_weights; i++)
        table[i * count + at] = prospect_of(&plan, &plan.weights[i]);
    i4q_trial_end(&trial);
    return ok;
}

/* What stays float loses nothing; whether it may be quantized at all, another column tells. */
static void forecast_float(const struct i4q_estimate *estimate, struct i4q_prospect *table, size_t at,
                           size_t other, size_t count)
{
    for (size_t i = 0; i < estimate->facts->count; i++)
        table[i * count + at] = (struct i4q_prospect){estimate->facts->items[i].tensor.bytes,
                                                      isnan(table[i * count + other].loss) ? NAN : 0};
}

bool i4q_forecast(const struct i4q_estimate *estimate, const struct i4q_recipe *recipes, size_t count,
                  struct i4q_arena *arena, struct i4q_prospect **prospects, struct i4q_error *error)
{
    struct i4q_prospect *table = i4q_arena_alloc(arena, estimate->facts->count * count, sizeof *table);
    size_t stored = 0;
    if (!table)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < count; i++) {
        const struct i4q_recipe how = measured(estimate, &recipes[i]);
        if (how.format && !forecast(estimate, &how, table, stored = i, count, error))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!recipes[i].format)
            forecast_float(estimate, table, i, stored, count);
    *prospects = table;
    return true;
}

bool i4q_estimate_losses(const struct i4q_estimate *estimate, struct i4q_arena *arena, const double **losses,
                         struct i4q_error *error)
{
    struct i4q_prospect *prospects;
    struct i4q_recipe recipe = estimate->options->target;
    const struct i4q_weights *facts = estimate->facts;
    if (i4q_method_needs_statistics(&recipe.method))
        recipe.method.rounding = I4Q_ROUND_SQUANT;
    double *found = i4q_arena_alloc(arena, facts->n_convs, sizeof *found);
    if (!found)
        return i4q_fail_memory(error);
    if (!i4q_forecast(estimate, &recipe, 1, arena, &prospects, error))
        return false;
    for (size_t i = 0; i < facts->n_convs; i++) {
        const struct i4q_weight *weight = i4q_weight_of(facts, facts->convs[i].weight);
        found[i] = weight ? prospects[weight - facts->items].loss / (double)weight->tensor.count : NAN;
    }
    *losses = found;
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/settle.h"

#include "plan/activations.h"
#include "plan/fused.h"
#include "plan/jobs.h"

static void collect_claims(struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_weights; i++)
        plan->weights[i].chosen = plan->weights[i].kept = plan->weights[i].left = false;
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (!row->weight)
            continue;
        bool kept = i4q_reasons[row->reason].kept, imported = row->reason == I4Q_REASON_IMPORTED;
        row->weight->chosen |= !row->reason;
        row->weight->kept |= kept;
        row->weight->left |= row->reason && !kept && !imported;
    }
}

/* The recipe that all of its Convs agree on; NULL: the weight stays as it is. */
static const struct i4q_recipe *agreed_recipe(const struct i4q_plan *plan,
                                              const struct i4q_plan_weight *weight)
{
    const struct i4q_recipe *recipe = weight->kept ? &plan->kept : weight->choice;
    return weight->left || !recipe->format ? NULL : recipe;
}

static bool is_known_bad(const struct i4q_weight *fact)
{
    return fact->looked_through && !fact->finite;
}

/* A weight that its Convs disagree about is looked through all the same: `non-finite` comes before `shared`
 * among the reasons. */
static const struct i4q_recipe *job_recipe(const struct i4q_plan *plan, const struct i4q_plan_weight *weight)
{
    const struct i4q_recipe *recipe = agreed_recipe(plan, weight);
    if (is_known_bad(weight->fact))
        return NULL;
    return recipe || !weight->chosen || weight->fact->looked_through ? recipe : &plan->target;
}

bool i4q_plan_settle(struct i4q_plan *plan, struct i4q_error *error)
{
    collect_claims(plan);
    plan->n_jobs = plan->n_imports = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        struct i4q_plan_weight *weight = &plan->weights[i];
        const struct i4q_recipe *recipe = job_recipe(plan, weight);
        weight->job = !recipe                ? NULL
                      : weight->fact->origin ? &plan->jobs[plan->n_weights - ++plan->n_imports]
                                             : &plan->jobs[plan->n_jobs++];
        if (recipe && !i4q_plan_make_job(plan, weight, recipe, error))
            return false;
    }
    i4q_plan_conclude(plan);
    return true;
}

static void conclude_row(struct i4q_plan_row *row)
{
    if (row->reason == I4Q_REASON_NON_FINITE || row->reason == I4Q_REASON_SHARED)
        row->reason = row->own;
    if (row->reason == I4Q_REASON_IMPORTED && !row->weight->recipe)
        row->reason = I4Q_REASON_SHARED;
    if (row->reason)
        return;
    if (is_known_bad(row->weight->fact))
        row->reason = I4Q_REASON_NON_FINITE;
    else if (row->weight->recipe != row->weight->choice)
        row->reason = row->weight->choice->format ? I4Q_REASON_SHARED : I4Q_REASON_SENSITIVE;
}

void i4q_plan_conclude(struct i4q_plan *plan)
{
    plan->n_stored = plan->n_quantized = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        struct i4q_plan_weight *weight = &plan->weights[i];
        weight->recipe = is_known_bad(weight->fact) ? NULL : agreed_recipe(plan, weight);
        plan->n_stored += weight->recipe != NULL;
    }
    for (size_t i = 0; i < plan->n_rows; i++) {
        conclude_row(&plan->rows[i]);
        plan->n_quantized += !plan->rows[i].reason;
    }
    i4q_plan_activations_conclude(plan);
    i4q_plan_fused_conclude(plan);
}

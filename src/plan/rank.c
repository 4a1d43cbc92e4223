// SPDX-License-Identifier: Apache-2.0
#include "plan/rank.h"

#include "onnx/trial.h"
#include "plan/apply.h"
#include "plan/planner.h"

#include <math.h>

static double loss_of(const struct i4q_plan_row *row)
{
    const struct i4q_quantize_job *job = row->weight && !row->reason ? row->weight->job : NULL;
    if (!job)
        return NAN;
    bool known = job->output_signal > 0;
    double signal = known ? job->output_signal : job->signal, noise = known ? job->output_noise : job->noise;
    return signal > 0 ? noise / signal / (double)row->weight->fact->tensor.count : 0;
}

static bool quantize_all(const struct i4q_estimate *estimate, struct i4q_plan *plan, struct i4q_error *error)
{
    struct i4q_plan_options options = *estimate->options;
    enum i4q_rounding *rounding = &options.target.method.rounding;
    options.topk = NULL;
    options.ranking.has_count = false;
    options.target.method.propagate = false;
    if (estimate->by_outputs)
        *rounding = I4Q_ROUND_ESTIMATE;
    else if (i4q_method_needs_statistics(&options.target.method))
        *rounding = I4Q_ROUND_SQUANT;
    return i4q_plan_make(estimate->facts, &options, plan, error) &&
           i4q_plan_quantize(plan, estimate->kernels, estimate->threads, error);
}

bool i4q_estimate_losses(const struct i4q_estimate *estimate, struct i4q_arena *arena, const double **losses,
                         struct i4q_error *error)
{
    struct i4q_trial trial;
    struct i4q_plan plan;
    double *found = i4q_arena_alloc(arena, estimate->facts->n_convs, sizeof *found);
    if (!found)
        return i4q_fail_memory(error);
    i4q_trial_begin(&trial, estimate->facts->model);
    bool ok = quantize_all(estimate, &plan, error);
    for (size_t i = 0; ok && i < plan.n_rows; i++)
        found[i] = loss_of(&plan.rows[i]);
    *losses = found;
    i4q_trial_end(&trial);
    return ok;
}

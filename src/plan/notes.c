// SPDX-License-Identifier: Apache-2.0
#include "plan/notes.h"

#include "plan/bias.h"
#include "plan/fused_reasons.h"
#include "plan/jobs.h"

static bool note(struct i4q_plan *plan, const char *about, size_t count, const char *what)
{
    if (!count)
        return true;
    return i4q_plan_note(plan,
                         i4q_arena_format(&plan->facts->model->arena, "%s: %zu %s", about, count, what));
}

/* What --block could not do. */
static bool note_blocks(struct i4q_plan *plan)
{
    size_t whole = 0, kept = 0, uneven = 0;
    if (!plan->target.block)
        return true;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        if (!weight->recipe)
            continue;
        bool chosen = weight->recipe->format == weight->choice->format;
        kept += !chosen;
        whole += chosen && !weight->job->block;
        uneven += weight->job->block && weight->form != weight->recipe->form && !weight->recipe->form->unheld;
    }
    const char *about = i4q_arena_format(&plan->facts->model->arena, "--block %zu", plan->target.block);
    return about &&
           note(plan, about, whole,
                "weights of at most that many inputs a channel, or of another layout, stay "
                "per channel") &&
           note(plan, about, kept, "weights of the kept format stay per channel") &&
           note(plan, about, uneven,
                "weights are decoded by DequantizeLinear, since it does not divide their rows");
}

/* Weights that the form asked for cannot hold, where it says which these are. */
static bool note_forms(struct i4q_plan *plan)
{
    const struct i4q_form *wanted = plan->target.form;
    size_t others = 0;
    if (!wanted->unheld)
        return true;
    for (size_t i = 0; i < plan->n_weights; i++)
        others += plan->weights[i].recipe && plan->weights[i].form != wanted;
    const char *about = i4q_arena_format(&plan->facts->model->arena, "--decode %s", wanted->word);
    return about && note(plan, about, others, wanted->unheld);
}

/* Convs whose weights are stored anew, but that compute in float for this reason. */
static size_t count_floats(const struct i4q_plan *plan, const char *reason)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_rows; i++)
        count += plan->rows[i].why_float == reason;
    return count;
}

static bool note_fused(struct i4q_plan *plan)
{
    const char *reason;
    for (size_t i = 0; plan->fused && (reason = i4q_fused_float_reason(i)); i++) {
        const char *what = i4q_arena_format(&plan->facts->model->arena, "Convs compute in float: %s", reason);
        if (!what || !note(plan, "--decode fused", count_floats(plan, reason), what))
            return false;
    }
    return true;
}

/* Statistics of means alone tell how to correct biases, and nothing of what codes do to outputs. */
static bool note_means_only(struct i4q_plan *plan)
{
    size_t unguided = 0, unranked = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        bool chosen = weight->recipe && weight->recipe != &plan->kept;
        bool lacks = chosen && weight->job->moments && !weight->job->moments->second;
        unguided += lacks && i4q_method_needs_statistics(weight->job->method);
        unranked += lacks && plan->by_outputs;
    }
    return note(plan, "--calibration", unguided,
                "weights have no covariances in the file (--mean-only): their codes are chosen without, and "
                "only biases are corrected by it") &&
           note(plan, "--calibration", unranked,
                "weights have no covariances in the file (--mean-only): their losses are estimated from the "
                "weights alone");
}

/* What the statistics changed beside the codes, and what they could not help. */
static bool note_calibration(struct i4q_plan *plan)
{
    size_t unknown = 0, fixed = 0, aimed = 0;
    if (!plan->statistics)
        return true;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        bool chosen = weight->recipe && weight->recipe != &plan->kept;
        unknown += chosen && !weight->job->moments && !i4q_job_is_left_alone(weight->job);
        aimed += chosen && i4q_job_has_target(weight->job);
    }
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        fixed +=
            row->weight && row->weight->recipe && row->weight->job->bias && !i4q_bias_is_constant(plan, row);
    }
    return note(plan, "--calibration", aimed,
                "weights make up for the errors of those in front of them, at a loss of SQNR") &&
           note(plan, "--calibration", unknown, "weights are not in the file, and are quantized without") &&
           note(plan, "--calibration", fixed, "Convs have a bias that is computed, and is not corrected");
}

bool i4q_plan_add_notes(struct i4q_plan *plan)
{
    return note_blocks(plan) && note_forms(plan) && note_fused(plan) && note_calibration(plan) &&
           (!plan->statistics || note_means_only(plan));
}

// SPDX-License-Identifier: Apache-2.0
#include "report/rewrite_figures.h"

#include "base/elementary.h"

#include <math.h>

static double decibels(double signal, double noise)
{
    return signal > 0 && noise > 0 ? 10 * i4q_log10(signal / noise) : NAN;
}

struct i4q_told i4q_tell(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    struct i4q_told told = {.sqnr_db = NAN,
                            .max_error = NAN,
                            .drift = NAN,
                            .clipped = NAN,
                            .moved = NAN,
                            .output_sqnr_db = NAN,
                            .predicted_loss = row->weight ? row->weight->predicted_loss : NAN};
    i4q_storage_describe(&plan->facts->model->arena, row->conv, &told.before);
    told.storage = told.before.name;
    told.bytes_before = told.bytes_after = told.before.bytes;
    if (row->weight && row->weight->recipe) {
        told.storage = row->weight->job->format->name;
        told.imported = row->weight->fact->origin;
        told.bytes_after = i4q_plan_weight_bytes(row->weight);
        told.sqnr_db = row->weight->job->sqnr_db;
        told.max_error = row->weight->job->max_error;
        told.block = row->weight->job->block;
        told.drift = row->weight->job->drift;
        told.clipped = (double)row->weight->job->clipped;
        told.moved = (double)row->weight->job->moved;
        told.output_sqnr_db = decibels(row->weight->job->output_signal, row->weight->job->output_noise);
    }
    return told;
}

void i4q_count_weights(const struct i4q_plan *plan, size_t *all, size_t *quantized)
{
    *all = *quantized = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        bool chosen =
            weight->recipe && !weight->fact->origin && weight->recipe->format == weight->choice->format;
        *all += weight->fact->tensor.count;
        *quantized += chosen ? weight->fact->tensor.count : 0;
    }
}

size_t i4q_count_rows(const struct i4q_plan *plan, enum i4q_reason reason)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_rows; i++)
        count += plan->rows[i].reason == reason;
    return count;
}

size_t i4q_count_imported(const struct i4q_plan *plan, const struct i4q_format *format)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_weights; i++)
        count += plan->weights[i].recipe == &plan->imported && plan->weights[i].job->format == format;
    return count;
}

struct i4q_average i4q_average_error(const struct i4q_plan *plan)
{
    double weights = 0, outputs = 0;
    size_t n = 0, n_outputs = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_quantize_job *job = plan->weights[i].job;
        if (!plan->weights[i].recipe || !(job->signal > 0))
            continue;
        weights += job->noise / job->signal;
        n++;
        outputs += job->output_signal > 0 ? job->output_noise / job->output_signal : 0;
        n_outputs += job->output_signal > 0;
    }
    return (struct i4q_average){decibels((double)n, weights), decibels((double)n_outputs, outputs)};
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.h"

#include <math.h>

struct i4q_plan_weight *i4q_plan_weight_of(const struct i4q_plan *plan, const struct i4q_value *value)
{
    const struct i4q_weight *fact = i4q_weight_of(plan->facts, value);
    return fact ? &plan->weights[fact - plan->facts->items] : NULL;
}

size_t i4q_plan_weight_bytes(const struct i4q_plan_weight *weight)
{
    return weight->recipe ? weight->form->bytes(weight->job) : weight->fact->tensor.bytes;
}

/* Without those that some Conv has to leave as they are, and those with a NaN. */
struct i4q_tally i4q_plan_tally(const struct i4q_plan *plan)
{
    struct i4q_tally tally = {0};
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        bool finite = !weight->fact->looked_through || weight->fact->finite;
        if (weight->left || !finite || !(weight->chosen || weight->kept))
            continue;
        tally.weights += weight->fact->tensor.count;
        tally.bytes += i4q_plan_weight_bytes(weight);
    }
    return tally;
}

double i4q_tally_bits(const struct i4q_tally *tally)
{
    return tally->weights ? 8 * (double)tally->bytes / (double)tally->weights : NAN;
}

size_t i4q_count_importable(const struct i4q_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_origin *origin = plan->rows[i].conv->origin;
        bool left = plan->rows[i].reason == I4Q_REASON_ALREADY_QUANTIZED;
        count += left && origin && !origin->fault && origin->dialect != I4Q_DIALECT_INT8;
    }
    return count;
}

bool i4q_plan_note(struct i4q_plan *plan, const char *text)
{
    return text && i4q_patterns_add(&plan->facts->model->arena, &plan->notes, text);
}

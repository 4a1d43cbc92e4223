// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.h"

struct i4q_plan_weight *i4q_plan_weight_of(const struct i4q_plan *plan, const struct i4q_value *value)
{
    const struct i4q_weight *fact = i4q_weight_of(plan->facts, value);
    return fact ? &plan->weights[fact - plan->facts->items] : NULL;
}

size_t i4q_plan_weight_bytes(const struct i4q_plan_weight *weight)
{
    return weight->recipe ? weight->form->bytes(weight->job) : weight->fact->tensor.bytes;
}

bool i4q_plan_note(struct i4q_plan *plan, const char *text)
{
    return text && i4q_patterns_add(&plan->facts->model->arena, &plan->notes, text);
}

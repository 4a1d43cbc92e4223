// SPDX-License-Identifier: Apache-2.0
#include "rewrite/activations.h"

#include "forms/activation.h"
#include "rewrite/insert.h"

#include <math.h>

enum { WIDE_BITS = 8 };

/* Whether ONNX Runtime makes an integer Conv of one whose weights are these: of 8 bits that are decoded on
 * every run, and of floats that it folds at load, which it then quantizes anew. */
static bool joins(const struct i4q_plan_row *row)
{
    if (!row->weight || !row->weight->recipe)
        return row->conv->source == I4Q_SOURCE_DECODED;
    enum i4q_execution execution = row->weight->form->execution;
    return execution == I4Q_DECODES_ONCE ||
           (execution == I4Q_DECODES_EVERY_RUN && row->weight->job->format->fine);
}

static bool is_made_by_joining(const struct i4q_plan *plan, const struct i4q_plan_activation *activation)
{
    const struct i4q_value *value = i4q_value_behind_identities(activation->value);
    for (size_t i = 0; value && i < plan->n_rows; i++)
        if (plan->rows[i].conv->node == value->producer)
            return joins(&plan->rows[i]);
    return false;
}

static struct i4q_qdq form_of(const struct i4q_plan *plan, const struct i4q_plan_activation *activation)
{
    return (struct i4q_qdq){
        .name = activation->value->name,
        .half = activation->half,
        .is_signed = plan->activation_options.levels->is_signed,
        .channels = activation->channels,
        .factors = activation->factors,
        .by_mul = activation->factors && is_made_by_joining(plan, activation),
        .rank = activation->rank,
        .range = *i4q_plan_activation_range(activation),
    };
}

/* Whether the Conv becomes an operator that has the range, rather than nodes before it. */
static bool takes_range(const struct i4q_plan_row *row)
{
    const struct i4q_range *range = i4q_plan_activation_range(row->input);
    return row->weight->form->has_input_ranges && !row->input->factors && range->bits == WIDE_BITS &&
           isnormal(range->scale);
}

static bool is_quantized(const struct i4q_plan_row *row)
{
    return row->input && !row->input->reason && row->weight->recipe;
}

/* Whether some Conv is to read what nodes make of the activation. */
static bool needs_nodes(const struct i4q_plan *plan, const struct i4q_plan_activation *activation)
{
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (row->input == activation && is_quantized(row) && !takes_range(row))
            return true;
    }
    return false;
}

int64_t i4q_activations_opset(const struct i4q_plan *plan)
{
    int64_t needed = 0;
    for (size_t i = 0; i < plan->n_activations; i++) {
        if (!needs_nodes(plan, &plan->activations[i]))
            continue;
        const struct i4q_qdq form = form_of(plan, &plan->activations[i]);
        int64_t opset = i4q_qdq_opset(&form);
        needed = needed < opset ? opset : needed;
    }
    return needed;
}

/* What is made of an activation. */
struct made {
    const char *value;     /* that its Convs are to read; NULL: nothing is made */
    struct i4q_list nodes; /* that come behind its own node */
};

static bool emit_all(const struct i4q_plan *plan, struct made *made, struct i4q_table *behind)
{
    struct i4q_model *model = plan->facts->model;
    struct i4q_table shared;
    const struct i4q_qdq_place place = {model, model->graph.scopes, &shared};
    i4q_table_init(&shared, &model->arena);
    for (size_t i = 0; i < plan->n_activations; i++) {
        if (!needs_nodes(plan, &plan->activations[i]))
            continue;
        const struct i4q_qdq form = form_of(plan, &plan->activations[i]);
        made[i].value = i4q_qdq_emit(&place, &form, &made[i].nodes);
        void **slot = made[i].value ? i4q_table_at(behind, form.name) : NULL;
        if (!slot)
            return false;
        *slot = &made[i].nodes;
    }
    return true;
}

static bool redirect(const struct i4q_plan *plan, const struct made *made, struct i4q_table *ranges)
{
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (!is_quantized(row))
            continue;
        void **slot = takes_range(row) ? i4q_table_at(ranges, row->input->value->name) : NULL;
        if (slot)
            *slot = (void *)i4q_plan_activation_range(row->input);
        else if (takes_range(row) || !i4q_edit_set_input(plan->facts->model, row->conv->node->proto, 0,
                                                         made[row->input - plan->activations].value))
            return false;
    }
    return true;
}

bool i4q_activations_apply(const struct i4q_plan *plan, struct i4q_table *ranges)
{
    struct i4q_model *model = plan->facts->model;
    struct made *made = i4q_arena_alloc(&model->arena, plan->n_activations, sizeof *made);
    struct i4q_table behind;
    i4q_table_init(&behind, &model->arena);
    return made &&
           (!plan->n_activations || (emit_all(plan, made, &behind) &&
                                     i4q_insert_nodes(model, NULL, &behind) && redirect(plan, made, ranges)));
}

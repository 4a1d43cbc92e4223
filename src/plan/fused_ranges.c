// SPDX-License-Identifier: Apache-2.0
#include "plan/fused_ranges.h"

#include "plan/fused_ops.h"
#include "plan/spread.h"
#include "platform/threads.h"

#include <stdatomic.h>

enum { BITS = 8 };

static const double MOST = 0x1p100, MOST_LOST = 0.1;

/* One that is to be found. */
struct search {
    struct i4q_histogram histogram;
    struct i4q_range_choice choice;
    struct i4q_range *range;
};

struct searches {
    struct search *items;
    size_t count;
    atomic_bool failed;
};

/* A value whose range is known by other means has bits already. */
static bool add_search(struct i4q_plan *plan, const struct i4q_value *value, enum i4q_range_rule rule,
                       struct searches *searches, struct i4q_error *error)
{
    struct search *search = &searches->items[searches->count];
    struct i4q_range *range = &plan->fused->ranges[value->index];
    if (range->bits)
        return true;
    if (!i4q_statistics_spread(plan->statistics, value->name, MOST, &search->histogram, error))
        return false;
    search->choice = (struct i4q_range_choice){.rule = rule, .bits = BITS};
    search->choice.behind = i4q_fused_behind(value, &search->choice.parameter);
    search->range = range;
    searches->count += search->histogram.channels > 0;
    return true;
}

/* What a node gives; Sigmoid gives what needs no measurement. */
static bool add_results(struct i4q_plan *plan, const struct i4q_node *node, struct searches *searches,
                        struct i4q_error *error)
{
    const struct i4q_fused_op *op = i4q_fused_op_find(node->proto);
    const struct i4q_value *value = op ? i4q_output_value(node, 0) : NULL;
    if (!value || op->range == I4Q_FUSED_SAME)
        return true;
    if (op->range == I4Q_FUSED_UNIT) {
        plan->fused->ranges[value->index] = (struct i4q_range){.scale = 1.0f / 255, .bits = BITS};
        return true;
    }
    return add_search(plan, value, plan->activation_options.rule, searches, error);
}

/* Whether nobody says what stays float. */
static bool is_left_to_us(const struct i4q_plan *plan)
{
    return !plan->activation_options.has_keep && !plan->activation_options.keep_path;
}

/* Those of what Convs read are there; a picture has 8 bits by itself. */
static bool add_inputs(struct i4q_plan *plan, struct searches *searches, struct i4q_error *error)
{
    for (size_t i = 0; i < plan->n_activations; i++) {
        const struct i4q_plan_activation *activation = &plan->activations[i];
        if (!activation->own && !activation->half) {
            plan->fused->ranges[activation->value->index] = activation->narrow;
            plan->fused->lossy[i] = is_left_to_us(plan) && i4q_range_share(&activation->histogram, NULL,
                                                                           &activation->narrow) > MOST_LOST;
        } else if (activation->own == I4Q_INPUT_IMAGE && !activation->half &&
                   !add_search(plan, activation->value, I4Q_RANGE_MINMAX, searches, error))
            return false;
    }
    return true;
}

static void search_one(void *context, size_t index)
{
    struct searches *searches = context;
    struct search *search = &searches->items[index];
    if (!i4q_range_find(&search->histogram, NULL, &search->choice, search->range))
        atomic_store(&searches->failed, true);
}

bool i4q_fused_ranges_find(struct i4q_plan *plan, unsigned threads, struct i4q_error *error)
{
    struct i4q_model *model = plan->facts->model;
    const struct i4q_scope *scope = model->graph.scopes;
    struct searches searches = {
        .items =
            i4q_arena_alloc(&model->arena, scope->n_nodes + plan->n_activations + 1, sizeof *searches.items)};
    if (!searches.items)
        return i4q_fail_memory(error);
    if (!add_inputs(plan, &searches, error))
        return false;
    for (size_t i = 0; i < scope->n_nodes; i++)
        if (!add_results(plan, &scope->nodes[i], &searches, error))
            return false;
    i4q_parallel_for(threads, searches.count, search_one, &searches);
    return !searches.failed || i4q_fail_memory(error);
}

const struct i4q_range *i4q_plan_fused_range(const struct i4q_plan_fused *fused,
                                             const struct i4q_value *value)
{
    while (fused->same[value->index])
        value = fused->same[value->index];
    return &fused->ranges[value->index];
}

bool i4q_fused_has_range(const struct i4q_plan_fused *fused, const struct i4q_value *value)
{
    return value && i4q_fused_op_fits(value->producer) && i4q_plan_fused_range(fused, value)->bits;
}

float i4q_fused_bias_scale(const struct i4q_quantize_job *job, size_t channel, const struct i4q_range *input)
{
    return input->scale * i4q_job_load_grid(job, channel).scale;
}

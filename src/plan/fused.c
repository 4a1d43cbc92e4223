// SPDX-License-Identifier: Apache-2.0
#include "plan/fused.h"

#include "onnx/fusion.h"
#include "plan/bias.h"
#include "plan/fused_ops.h"
#include "plan/spread.h"
#include "platform/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { BITS = 8, TOP = 255, MOST_DEPTH = 16 };

static const double MOST = 0x1p100, MOST_BIAS = 0x1p30, BEYOND = 1.001, MOST_LOST = 0.1;

static const struct i4q_value *operand(const struct i4q_node *node, size_t input)
{
    return i4q_scope_resolve(node->scope, node->proto->input[input]);
}

static const struct i4q_value *result(const struct i4q_node *node, size_t output)
{
    return i4q_table_get(&node->scope->values, node->proto->output[output]);
}

/* ---- ranges */

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
    const struct i4q_value *value = op && node->proto->n_output ? result(node, 0) : NULL;
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

static bool find_ranges(struct i4q_plan *plan, unsigned threads, struct i4q_error *error)
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

/* Nothing is missing where no Conv reads what could be quantized. */
static bool tells_of_results(const struct i4q_plan *plan)
{
    bool wanted = false;
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_node *node = plan->rows[i].conv->node;
        const struct i4q_value *value = node->proto->n_output ? result(node, 0) : NULL;
        wanted |= plan->rows[i].input != NULL;
        if (plan->rows[i].input && value && plan->fused->ranges[value->index].bits)
            return true;
    }
    return !wanted;
}

bool i4q_plan_fused_find(struct i4q_plan *plan, unsigned threads, struct i4q_error *error)
{
    const struct i4q_graph *graph = &plan->facts->model->graph;
    struct i4q_arena *arena = &plan->facts->model->arena;
    struct i4q_plan_fused *fused = NULL;
    if (plan->target.form != &i4q_form_fused || !plan->activation_options.levels)
        return true;
    if (!(fused = i4q_arena_alloc(arena, 1, sizeof *fused)) ||
        !(fused->ranges = i4q_arena_alloc(arena, graph->n_values, sizeof *fused->ranges)) ||
        !(fused->same = i4q_arena_alloc(arena, graph->n_values, sizeof *fused->same)) ||
        !(fused->listed = i4q_arena_alloc(arena, graph->n_values, sizeof *fused->listed)) ||
        !(fused->values = i4q_arena_alloc(arena, graph->n_values, sizeof *fused->values)) ||
        !(fused->rows = i4q_arena_alloc(arena, graph->n_nodes, sizeof *fused->rows)) ||
        !(fused->lossy = i4q_arena_alloc(arena, plan->n_activations, sizeof *fused->lossy)) ||
        !(fused->stays = i4q_arena_alloc(arena, graph->n_nodes, sizeof *fused->stays)) ||
        !(fused->computes = i4q_arena_alloc(arena, graph->n_nodes, sizeof *fused->computes)))
        return i4q_fail_memory(error);
    plan->fused = fused;
    for (size_t i = 0; i < plan->n_rows; i++)
        fused->rows[plan->rows[i].conv->node->index] = &plan->rows[i];
    if (!find_ranges(plan, threads, error))
        return false;
    if (tells_of_results(plan))
        return true;
    error->file = plan->statistics->path;
    return i4q_fail(error, I4Q_MODEL,
                    "it tells of no value that a Conv gives: scripts/calibrate.py measures them");
}

const struct i4q_range *i4q_plan_fused_range(const struct i4q_plan_fused *fused,
                                             const struct i4q_value *value)
{
    while (fused->same[value->index])
        value = fused->same[value->index];
    return &fused->ranges[value->index];
}

float i4q_fused_bias_scale(const struct i4q_quantize_job *job, size_t channel, const struct i4q_range *input)
{
    return input->scale * i4q_job_load_grid(job, channel).scale;
}

static void fit_biases(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_quantize_job *job = row->weight->job;
    const struct i4q_range *range = i4q_plan_fused_range(plan->fused, operand(row->conv->node, 0));
    const float *bias = i4q_bias_values(plan, row, &plan->facts->model->arena);
    for (size_t i = 0; bias && i < job->channels; i++) {
        double least = fabs((double)bias[i]) / MOST_BIAS / (double)range->scale * BEYOND;
        if (least > (double)i4q_job_load_grid(job, i).scale && least < MOST)
            i4q_job_rescale(job, i, (float)least);
    }
}

void i4q_plan_fused_fit(struct i4q_plan *plan)
{
    for (size_t i = 0; plan->fused && i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (row->computes && row->weight->job->finite)
            fit_biases(plan, row);
    }
}

/* ---- what stays float */

static bool has_range(const struct i4q_plan_fused *fused, const struct i4q_value *value)
{
    return value && i4q_fused_op_fits(value->producer) && i4q_plan_fused_range(fused, value)->bits;
}

/* What makes a value that is kept float: its activation, and the Conv before that, reach as far. */
static void keep_makers(struct i4q_plan_fused *fused, const struct i4q_value *value, int depth)
{
    const struct i4q_node *node = value ? value->producer : NULL;
    const struct i4q_fused_op *op = node ? i4q_fused_op_find(node->proto) : NULL;
    if (!op || fused->stays[node->index] || depth == MOST_DEPTH)
        return;
    fused->stays[node->index] = true;
    for (size_t i = 0; op->reaches_as_far && i < i4q_fused_op_operands(op, node->proto); i++)
        keep_makers(fused, operand(node, i), depth + 1);
}

static void keep_values(const struct i4q_plan *plan)
{
    struct i4q_plan_fused *fused = plan->fused;
    for (size_t i = 0; i < plan->n_activations; i++) {
        const struct i4q_value *value = plan->activations[i].value;
        if (!plan->activations[i].is_kept && !fused->lossy[i])
            continue;
        fused->n_kept++;
        keep_makers(fused, value, 0);
        for (const struct i4q_use *use = value->uses; use; use = use->next)
            fused->stays[use->node->index] |= i4q_node_is(use->node->proto, "Conv");
    }
}

/* ---- why a Conv computes in float */

static bool is_half(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return row->weight->job->half;
}

static bool is_in_body(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return row->conv->node->scope != plan->facts->model->graph.scopes;
}

/* Unless it is stored as integers whose zero point is 0 in the end. */
static bool has_other_weight(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_plan_weight *weight = row->weight;
    bool is_fine = weight->form == &i4q_form_dq && weight->job->format->fine && !weight->job->asymmetric &&
                   !weight->job->format->zero && !weight->job->block;
    bool is_coarse = (weight->form == &i4q_form_fused || weight->form == &i4q_form_cast) &&
                     i4q_form_fused.holds(weight->fact, weight->job);
    return !is_coarse && !is_fine;
}

static bool gives_output(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = result(row->conv->node, 0);
    return !value || value->is_output;
}

static bool is_around_lossy(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return plan->fused->stays[row->conv->node->index];
}

static bool reads_quantized(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = operand(row->conv->node, 0);
    return (row->input && row->input->own == I4Q_INPUT_ALREADY_QUANTIZED) ||
           (value && value->producer && i4q_node_is(value->producer->proto, "DequantizeLinear"));
}

static bool reads_misfit(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = operand(row->conv->node, 0);
    return value && !i4q_fused_op_fits(value->producer);
}

static bool is_unmeasured(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return !has_range(plan->fused, operand(row->conv->node, 0)) ||
           !has_range(plan->fused, result(row->conv->node, 0));
}

/* Unless it is one that INT32 holds; before there are scales it is taken for one. */
static bool has_other_bias(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_quantize_job *job = row->weight->job;
    const struct i4q_range *range = i4q_plan_fused_range(plan->fused, operand(row->conv->node, 0));
    if (!i4q_bias_is_constant(plan, row) || !job->scales)
        return !i4q_bias_is_constant(plan, row);
    const float *bias = i4q_bias_values(plan, row, &plan->facts->model->arena);
    for (size_t i = 0; bias && i < job->channels; i++)
        if (!(fabs((double)bias[i]) / (double)i4q_fused_bias_scale(job, i, range) < MOST_BIAS))
            return true;
    return !bias;
}

static const struct float_reason {
    bool (*applies)(const struct i4q_plan *plan, const struct i4q_plan_row *row);
    const char *text;
} float_reasons[] = {
    {is_half, "they are FLOAT16, and ONNX Runtime's integer Convs have FLOAT scales"},
    {is_in_body, "they stand in bodies of If, Loop or Scan"},
    {has_other_weight, "their weights have more than 4 bits and are not symmetric INT8"},
    {gives_output, "what they give is an output of the model"},
    {is_around_lossy, "what they read or give stays float for what it would lose"},
    {reads_quantized, "what they read is quantized already"},
    {reads_misfit, "what they read comes from a pooling that ONNX Runtime does not compute alike in 8 bits"},
    {is_unmeasured, "what they read or give is not in the statistics"},
    {has_other_bias, "their bias is computed, or too large for INT32"},
};

const char *i4q_fused_float_reason(size_t index)
{
    return index < sizeof float_reasons / sizeof *float_reasons ? float_reasons[index].text : NULL;
}

static const char *find_reason(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    for (size_t i = 0; i4q_fused_float_reason(i); i++)
        if (float_reasons[i].applies(plan, row))
            return float_reasons[i].text;
    return NULL;
}

/* ---- what computes */

static bool conv_can(const struct i4q_plan *plan, const struct i4q_node *node)
{
    struct i4q_plan_row *row = plan->fused->rows[node->index];
    bool is_stored = row && row->weight && row->weight->recipe && row->weight->fact->op->is_conv;
    if (row)
        row->why_float = is_stored ? find_reason(plan, row) : NULL;
    return is_stored && !row->why_float;
}

static bool operands_are_computed(const struct i4q_plan_fused *fused, const struct i4q_fused_op *op,
                                  const struct i4q_node *node)
{
    size_t n = i4q_fused_op_operands(op, node->proto);
    for (size_t i = 0; i < n; i++) {
        const struct i4q_value *value = operand(node, i);
        if (!value || !value->producer || !fused->computes[value->producer->index])
            return false;
    }
    return n > 0;
}

/* Each result has a range, and no reader outside of the graph. Where values are only moved it is that of the
 * operand. */
static bool results_have_ranges(struct i4q_plan_fused *fused, const struct i4q_fused_op *op,
                                const struct i4q_node *node)
{
    for (size_t i = 0; i < node->proto->n_output; i++) {
        const struct i4q_value *value = result(node, i);
        if (!value || value->is_output)
            return false;
        if (op->range == I4Q_FUSED_SAME)
            fused->same[value->index] = operand(node, 0);
        if (!has_range(fused, value))
            return false;
    }
    return node->proto->n_output == 1 || op->range == I4Q_FUSED_SAME;
}

static bool can_compute(const struct i4q_plan *plan, const struct i4q_node *node)
{
    struct i4q_plan_fused *fused = plan->fused;
    const struct i4q_fused_op *op = i4q_fused_op_find(node->proto);
    if (i4q_node_is(node->proto, "Conv"))
        return conv_can(plan, node);
    return op && node->scope == plan->facts->model->graph.scopes && !fused->stays[node->index] &&
           operands_are_computed(fused, op, node) && results_have_ranges(fused, op, node);
}

/* Whether some reader of what the node gives computes. */
static bool leads_on(const struct i4q_plan_fused *fused, const struct i4q_node *node)
{
    for (size_t i = 0; i < node->proto->n_output; i++)
        for (const struct i4q_use *use = result(node, i)->uses; use; use = use->next)
            if (fused->computes[use->node->index])
                return true;
    return false;
}

/* ---- what is quantized */

/* Whether all that the codes stand for lies within the bounds of a Clip, in binary32. */
static bool lies_within(const struct i4q_range *range, float low, float high)
{
    return range->scale * (float)-range->zero >= low && range->scale * (float)(TOP - range->zero) <= high;
}

/* Whether the one reader is a Relu or Clip that computes, and changes nothing that codes can stand for: ONNX
 * Runtime makes one of it and the QuantizeLinear behind it. */
static bool goes_into_bounds(const struct i4q_plan_fused *fused, const struct i4q_node *conv)
{
    struct i4q_fusion fusion = {.conv = conv};
    i4q_fusion_find_activation(&fusion);
    if (fusion.n_absorbed != 1 || !fused->computes[fusion.absorbed[0]->index])
        return false;
    const struct i4q_range *range = i4q_plan_fused_range(fused, result(fusion.absorbed[0], 0));
    return fusion.activation == I4Q_ACTIVATION_RELU ||
           (fusion.activation == I4Q_ACTIVATION_CLIP && lies_within(range, fusion.alpha, fusion.beta));
}

static void quantize(struct i4q_plan_fused *fused, const struct i4q_value *value)
{
    if (!fused->listed[value->index])
        fused->values[fused->n_values++] = value;
    fused->listed[value->index] = true;
}

static void quantize_around(struct i4q_plan_fused *fused, const struct i4q_node *node)
{
    bool is_conv = i4q_node_is(node->proto, "Conv");
    fused->n_convs += is_conv;
    if (is_conv)
        quantize(fused, operand(node, 0));
    for (size_t i = 0; i < node->proto->n_output; i++)
        if (!is_conv || !goes_into_bounds(fused, node))
            quantize(fused, result(node, i));
}

/* A weight that no Conv computes with is decoded at load. */
static void choose_forms(struct i4q_plan *plan)
{
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < plan->n_rows; i++) {
            const struct i4q_plan_row *row = &plan->rows[i];
            bool stays = row->computes;
            if (!row->weight || !row->weight->recipe || stays != (pass == 1))
                continue;
            if (row->weight->form == (stays ? &i4q_form_cast : &i4q_form_fused))
                row->weight->form = stays ? &i4q_form_fused : &i4q_form_cast;
        }
}

void i4q_plan_fused_conclude(struct i4q_plan *plan)
{
    const struct i4q_graph *graph = &plan->facts->model->graph;
    struct i4q_plan_fused *fused = plan->fused;
    if (!fused)
        return;
    memset(fused->same, 0, graph->n_values * sizeof *fused->same);
    memset(fused->listed, 0, graph->n_values * sizeof *fused->listed);
    memset(fused->computes, 0, graph->n_nodes * sizeof *fused->computes);
    memset(fused->stays, 0, graph->n_nodes * sizeof *fused->stays);
    fused->n_convs = fused->n_values = fused->n_kept = 0;
    keep_values(plan);
    for (size_t i = 0; i < graph->n_nodes; i++)
        fused->computes[graph->sorted[i]->index] = can_compute(plan, graph->sorted[i]);
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const struct i4q_node *node = graph->sorted[i];
        if (fused->computes[node->index] && !i4q_node_is(node->proto, "Conv") && !leads_on(fused, node))
            fused->computes[node->index] = false;
    }
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (fused->computes[graph->sorted[i]->index])
            quantize_around(fused, graph->sorted[i]);
    for (size_t i = 0; i < plan->n_rows; i++)
        plan->rows[i].computes = fused->computes[plan->rows[i].conv->node->index];
    choose_forms(plan);
}

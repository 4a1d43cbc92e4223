// SPDX-License-Identifier: Apache-2.0
#include "plan/fused.h"

#include "onnx/fusion.h"
#include "plan/bias.h"
#include "plan/fused_ops.h"
#include "plan/fused_reasons.h"

#include <math.h>
#include <string.h>

enum { TOP = 255, MOST_DEPTH = 16 };

static const double MOST = 0x1p100, BEYOND = 1.001;

/* Nothing is missing where no Conv reads what could be quantized. */
static bool tells_of_results(const struct i4q_plan *plan)
{
    bool wanted = false;
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_node *node = plan->rows[i].conv->node;
        const struct i4q_value *value = i4q_output_value(node, 0);
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
    if (!i4q_fused_ranges_find(plan, threads, error))
        return false;
    if (tells_of_results(plan))
        return true;
    error->file = plan->statistics->path;
    return i4q_fail(error, I4Q_MODEL,
                    "it tells of no value that a Conv gives: scripts/calibrate.py measures them");
}

static void fit_biases(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_quantize_job *job = row->weight->job;
    const struct i4q_range *range = i4q_plan_fused_range(plan->fused, i4q_input_value(row->conv->node, 0));
    const float *bias = i4q_bias_values(plan, row, &plan->facts->model->arena);
    for (size_t i = 0; bias && i < job->channels; i++) {
        double least = fabs((double)bias[i]) / (double)I4Q_FUSED_MOST_BIAS / (double)range->scale * BEYOND;
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

/* What makes a value that is kept float: its activation, and the Conv before that, reach as far. */
static void keep_makers(struct i4q_plan_fused *fused, const struct i4q_value *value, int depth)
{
    const struct i4q_node *node = value ? value->producer : NULL;
    const struct i4q_fused_op *op = node ? i4q_fused_op_find(node->proto) : NULL;
    if (!op || fused->stays[node->index] || depth == MOST_DEPTH)
        return;
    fused->stays[node->index] = true;
    for (size_t i = 0; op->reaches_as_far && i < i4q_fused_op_operands(op, node->proto); i++)
        keep_makers(fused, i4q_input_value(node, i), depth + 1);
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

/* ---- what computes */

static bool conv_can(const struct i4q_plan *plan, const struct i4q_node *node)
{
    struct i4q_plan_row *row = plan->fused->rows[node->index];
    bool is_stored = row && row->weight && row->weight->recipe && row->weight->fact->op->is_conv &&
                     node->proto->n_output == 1; /* as every Conv has, but no file has to */
    if (row)
        row->why_float = is_stored ? i4q_fused_find_reason(plan, row) : NULL;
    return is_stored && !row->why_float;
}

static bool operands_are_computed(const struct i4q_plan_fused *fused, const struct i4q_fused_op *op,
                                  const struct i4q_node *node)
{
    size_t n = i4q_fused_op_operands(op, node->proto);
    for (size_t i = 0; i < n; i++) {
        const struct i4q_value *value = i4q_input_value(node, i);
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
        const struct i4q_value *value = i4q_output_value(node, i);
        if (!value || value->is_output)
            return false;
        if (op->range == I4Q_FUSED_SAME)
            fused->same[value->index] = i4q_input_value(node, 0);
        if (!i4q_fused_has_range(fused, value))
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
        for (const struct i4q_use *use = i4q_output_value(node, i)->uses; use; use = use->next)
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
    const struct i4q_range *range = i4q_plan_fused_range(fused, i4q_output_value(fusion.absorbed[0], 0));
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
        quantize(fused, i4q_input_value(node, 0));
    for (size_t i = 0; i < node->proto->n_output; i++)
        if (!is_conv || !goes_into_bounds(fused, node))
            quantize(fused, i4q_output_value(node, i));
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

// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_KEEP = 10,
    IR_INITIALIZERS_ARE_NO_INPUTS =
        4, /* from this IR version on, an initializer need not be listed as an input */
};

struct planner {
    struct i4q_model *model;
    const struct i4q_plan_options *options;
    struct i4q_plan *plan;
    struct i4q_error *error;
};

/* ---- rows and their weights */

/* The weight of a row, made for the first Conv that reads it. */
static bool attach_weight(struct planner *planner, struct i4q_plan_row *row)
{
    if (row->conv->source != I4Q_SOURCE_STORED)
        return true;
    struct i4q_value *value = row->conv->weight;
    if (!value->attached) {
        struct i4q_weight *weight = &planner->plan->weights[planner->plan->n_weights++];
        if (!i4q_weight_describe(&planner->model->arena, planner->options->ops, row->conv, weight,
                                 planner->error))
            return false;
        value->attached = weight;
    }
    row->weight = value->attached;
    return true;
}

static bool make_rows(struct planner *planner)
{
    struct i4q_plan *plan = planner->plan;
    if (!i4q_convs_find(planner->model, planner->options->ops | I4Q_OPS_INTEGER, 0, &plan->convs,
                        &plan->n_rows, planner->error))
        return false;
    plan->rows = i4q_arena_alloc(&planner->model->arena, plan->n_rows, sizeof *plan->rows);
    plan->weights = i4q_arena_alloc(&planner->model->arena, plan->n_rows, sizeof *plan->weights);
    if (!plan->rows || !plan->weights)
        return i4q_fail_memory(planner->error);
    for (size_t i = 0; i < plan->n_rows; i++) {
        plan->rows[i].conv = &plan->convs[i];
        if (!attach_weight(planner, &plan->rows[i]))
            return false;
    }
    return true;
}

/* Initializers that are listed as inputs are constants where the IR made that mandatory, or where all of them
 * are listed, as older exporters go on doing. */
static bool inputs_are_constant(const struct i4q_model *model)
{
    const struct i4q_scope *main_graph = model->scopes;
    const Onnx__GraphProto *graph = main_graph->graph;
    if (model->proto->ir_version < IR_INITIALIZERS_ARE_NO_INPUTS)
        return true;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const struct i4q_value *value =
            i4q_table_get(&main_graph->values, i4q_text(graph->initializer[i]->name));
        if (!value->is_input)
            return false;
    }
    return true;
}

/* ---- the user's choice */

static bool note(struct planner *planner, const char *text)
{
    return (text && i4q_patterns_add(&planner->model->arena, &planner->plan->notes, text)) ||
           i4q_fail_memory(planner->error);
}

static bool report_unmatched(struct planner *planner, const struct i4q_patterns *unmatched)
{
    if (unmatched->count && !planner->options->allow_unmatched)
        return i4q_fail(planner->error, I4Q_USAGE,
                        "the pattern '%.200s' matches no Conv (of %zu); --allow-unmatched goes on without it",
                        unmatched->items[0], planner->plan->n_rows);
    for (size_t i = 0; i < unmatched->count; i++)
        if (!note(planner, i4q_arena_format(&planner->model->arena, "the pattern '%s' matches no Conv",
                                            unmatched->items[i])))
            return false;
    return true;
}

static bool apply_patterns(struct planner *planner, const struct i4q_name_index *index)
{
    struct i4q_arena *arena = &planner->model->arena;
    const struct i4q_plan_options *options = planner->options;
    enum i4q_choice *choices = i4q_arena_alloc(arena, index->count, sizeof *choices);
    bool *exact = i4q_arena_alloc(arena, index->count, sizeof *exact);
    struct i4q_patterns unmatched = {0};
    if (!choices || !exact)
        return i4q_fail_memory(planner->error);
    if (!i4q_select(index, &options->include, options->only_included, &options->exclude, choices, exact,
                    &unmatched, planner->error))
        return false;
    for (size_t i = 0; i < index->count; i++) {
        planner->plan->rows[i].choice = choices[i];
        planner->plan->rows[i].exact = exact[i];
    }
    return report_unmatched(planner, &unmatched);
}

static struct i4q_measurement ordered(const struct i4q_measurement *measurement, enum i4q_topk_order order)
{
    struct i4q_measurement result = *measurement;
    if (order != I4Q_ORDER_AUTO)
        result.worse = order == I4Q_ORDER_HIGHER_WORSE ? result.score : -result.score;
    return result;
}

/* Convs that share a weight have the same estimate. */
static void apply_estimates(struct i4q_plan *plan, const double *estimates)
{
    for (size_t i = 0; i < plan->n_rows; i++)
        if (!isnan(estimates[i])) {
            plan->rows[i].measurement = (struct i4q_measurement){true, estimates[i], estimates[i]};
            plan->sensitivity.entries++;
        }
    plan->has_sensitivity = plan->estimated = plan->sensitivity.scored = true;
}

static bool apply_sensitivity(struct planner *planner, const struct i4q_name_index *index)
{
    struct i4q_plan *plan = planner->plan;
    const struct i4q_plan_options *options = planner->options;
    if (options->estimates)
        apply_estimates(plan, options->estimates);
    if (!options->topk)
        return true;
    const void **weights = i4q_arena_alloc(&planner->model->arena, plan->n_rows, sizeof *weights);
    if (!weights)
        return i4q_fail_memory(planner->error);
    for (size_t i = 0; i < plan->n_rows; i++)
        weights[i] = plan->rows[i].conv->weight;
    if (!i4q_sensitivity_read(&planner->model->arena, options->topk_json, index, weights, &plan->sensitivity,
                              planner->error)) {
        planner->error->file = options->topk;
        return false;
    }
    if (!plan->sensitivity.scored && (options->has_count || options->order)) {
        planner->error->file = options->topk;
        return i4q_fail(planner->error, I4Q_USAGE, "it lists layers without scores, which %s needs",
                        options->order                   ? "--topk-order"
                        : options->rank == I4Q_RANK_KEEP ? "--keep or --target-size"
                                                         : "--quantize");
    }
    for (size_t i = 0; i < plan->n_rows; i++)
        plan->rows[i].measurement = ordered(&plan->sensitivity.convs[i], options->order);
    plan->has_sensitivity = true;
    return true;
}

static bool apply_names(struct planner *planner)
{
    struct i4q_plan *plan = planner->plan;
    struct i4q_arena *arena = &planner->model->arena;
    struct i4q_names *names = i4q_arena_alloc(arena, plan->n_rows, sizeof *names);
    if (!names)
        return i4q_fail_memory(planner->error);
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_conv *conv = plan->rows[i].conv;
        if (!i4q_names_make(arena, conv->node->proto->name, conv->weight->name, &names[i]))
            return i4q_fail_memory(planner->error);
    }
    struct i4q_name_index index;
    if (!i4q_name_index_make(arena, names, plan->n_rows, &index))
        return i4q_fail_memory(planner->error);
    return apply_patterns(planner, &index) && apply_sensitivity(planner, &index);
}

/* ---- reasons that each Conv has by itself */

static bool is_excluded(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->choice == I4Q_EXCLUDED;
}

static bool is_not_included(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->choice == I4Q_NOT_INCLUDED;
}

static bool is_already_quantized(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->conv->op->integer || row->conv->source == I4Q_SOURCE_DECODED;
}

static bool is_in_function(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->conv->node->scope->function != NULL;
}

static bool is_computed(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->conv->source == I4Q_SOURCE_COMPUTED;
}

/* Inputs of a body get their values from the node that holds it. */
static bool is_input(const struct planner *planner, const struct i4q_plan_row *row)
{
    const struct i4q_value *weight = row->conv->weight;
    bool constant = (planner->plan->inputs_are_constant || planner->options->assume_constant) &&
                    weight->scope == planner->model->scopes;
    return row->conv->source == I4Q_SOURCE_INPUT || (weight->is_input && !constant);
}

static bool is_output(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->weight ? row->weight->is_output : row->conv->weight->is_output;
}

static bool is_shared_with_other_op(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->weight && row->weight->other_reader;
}

static bool is_sparse(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->conv->source == I4Q_SOURCE_SPARSE;
}

/* From here on every row has a stored weight. */

static bool has_other_type(const struct planner *planner, const struct i4q_plan_row *row)
{
    return !i4q_weight_is_quantizable(row->weight);
}

static bool has_other_shape(const struct planner *planner, const struct i4q_plan_row *row)
{
    const struct i4q_conv_op *op = row->conv->op;
    size_t rank = row->weight->tensor.rank;
    return rank < op->least_rank || (op->greatest_rank && rank > op->greatest_rank);
}

static bool is_empty(const struct planner *planner, const struct i4q_plan_row *row)
{
    return row->weight->tensor.count == 0;
}

static bool is_dfl(const struct planner *planner, const struct i4q_plan_row *row)
{
    return !row->exact && i4q_weight_is_dfl(row->weight);
}

static bool is_small(const struct planner *planner, const struct i4q_plan_row *row)
{
    return !row->exact && row->weight->tensor.count < planner->options->min_weights;
}

/* In the order of enum i4q_reason. */
static const struct check {
    enum i4q_reason reason;
    bool (*applies)(const struct planner *planner, const struct i4q_plan_row *row);
} checks[] = {
    {I4Q_REASON_EXCLUDED, is_excluded},
    {I4Q_REASON_NOT_INCLUDED, is_not_included},
    {I4Q_REASON_ALREADY_QUANTIZED, is_already_quantized},
    {I4Q_REASON_FUNCTION, is_in_function},
    {I4Q_REASON_WEIGHT_COMPUTED, is_computed},
    {I4Q_REASON_WEIGHT_IS_INPUT, is_input},
    {I4Q_REASON_WEIGHT_IS_OUTPUT, is_output},
    {I4Q_REASON_WEIGHT_SHARED_WITH_OTHER_OP, is_shared_with_other_op},
    {I4Q_REASON_SPARSE, is_sparse},
    {I4Q_REASON_DTYPE, has_other_type},
    {I4Q_REASON_SHAPE, has_other_shape},
    {I4Q_REASON_EMPTY, is_empty},
    {I4Q_REASON_DFL, is_dfl},
    {I4Q_REASON_SMALL, is_small},
};

static void check_rows(const struct planner *planner)
{
    for (size_t i = 0; i < planner->plan->n_rows; i++) {
        struct i4q_plan_row *row = &planner->plan->rows[i];
        for (size_t c = 0; c < sizeof checks / sizeof *checks && !row->reason; c++)
            if (checks[c].applies(planner, row))
                row->reason = checks[c].reason;
    }
}

/* ---- ranking */

/* The more sensitive first; of two alike, the earlier. Rows are elements of one array, so their addresses
 * tell. */
static int compare_rows(const void *a, const void *b)
{
    const struct i4q_plan_row *x = *(struct i4q_plan_row *const *)a, *y = *(struct i4q_plan_row *const *)b;
    if (x->measurement.worse != y->measurement.worse)
        return x->measurement.worse > y->measurement.worse ? -1 : 1;
    return x < y ? -1 : 1;
}

/* How many of the `measured` candidates stay float. */
static size_t count_kept(struct planner *planner, size_t candidates, size_t measured)
{
    const struct i4q_plan_options *options = planner->options;
    struct i4q_plan *plan = planner->plan;
    if (!plan->sensitivity.scored)
        return measured;
    if (!options->has_count || options->rank == I4Q_RANK_KEEP) {
        plan->has_keep = true;
        plan->keep_is_default = !options->has_count && !plan->sensitivity.has_k;
        plan->keep = options->has_count        ? options->count
                     : plan->sensitivity.has_k ? plan->sensitivity.k
                                               : DEFAULT_KEEP;
        return plan->keep < measured ? plan->keep : measured;
    }
    size_t quantize = options->rank == I4Q_RANK_QUANTIZE ? options->count : candidates * options->count / 100;
    return quantize < measured ? measured - quantize : 0;
}

static bool rank_rows(struct planner *planner)
{
    struct i4q_plan *plan = planner->plan;
    if (!plan->has_sensitivity)
        return true;
    struct i4q_plan_row **ranked = i4q_arena_alloc(&planner->model->arena, plan->n_rows, sizeof *ranked);
    if (!ranked)
        return i4q_fail_memory(planner->error);
    bool only_measured = planner->options->has_count && planner->options->rank != I4Q_RANK_KEEP;
    size_t measured = 0, candidates = 0;
    for (size_t i = 0; i < plan->n_rows; i++) {
        struct i4q_plan_row *row = &plan->rows[i];
        if (row->reason)
            continue;
        candidates++;
        if (row->measurement.present)
            ranked[measured++] = row;
        else if (only_measured)
            row->reason = I4Q_REASON_UNMEASURED;
    }
    qsort(ranked, measured, sizeof *ranked, compare_rows);
    size_t kept = count_kept(planner, candidates, measured);
    for (size_t i = 0; i < kept; i++)
        ranked[i]->reason = I4Q_REASON_SENSITIVE;
    return true;
}

bool i4q_plan_make(struct i4q_model *model, const struct i4q_plan_options *options, struct i4q_plan *plan,
                   struct i4q_error *error)
{
    struct planner planner = {model, options, plan, error};
    *plan = (struct i4q_plan){.target = options->target,
                              .statistics = options->statistics,
                              .notes = {options->notes.items, options->notes.count, options->notes.count},
                              .assume_constant = options->assume_constant,
                              .inputs_are_constant = inputs_are_constant(model)};
    if (!make_rows(&planner) || !apply_names(&planner))
        return false;
    check_rows(&planner);
    return rank_rows(&planner);
}

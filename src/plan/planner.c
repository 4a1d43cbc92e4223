// SPDX-License-Identifier: Apache-2.0
#include "plan/planner.h"

#include "plan/activations.h"
#include "plan/fused.h"
#include "plan/means/propagate.h"
#include "plan/near_pattern.h"
#include "plan/quants.h"
#include "plan/settle.h"

#include <math.h>
#include <stdlib.h>

enum {
    DEFAULT_KEEP = 10,
    IR_INITIALIZERS_ARE_NO_INPUTS =
        4, /* from this IR version on, an initializer need not be listed as an input */
};

struct planner {
    struct i4q_arena *arena;
    const struct i4q_plan_options *options;
    struct i4q_plan *plan;
    struct i4q_error *error;
};

/* Initializers that are listed as inputs are constants where the IR made that mandatory, or where all of them
 * are listed, as older exporters go on doing. */
static bool inputs_are_constant(const struct i4q_model *model)
{
    const struct i4q_scope *main_graph = model->graph.scopes;
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

/* ---- rows and their weights */

static bool make_rows(struct planner *planner)
{
    struct i4q_plan *plan = planner->plan;
    const struct i4q_weights *facts = plan->facts;
    plan->n_rows = facts->n_convs;
    plan->n_weights = facts->count;
    plan->rows = i4q_arena_alloc(planner->arena, plan->n_rows, sizeof *plan->rows);
    plan->weights = i4q_arena_alloc(planner->arena, plan->n_weights, sizeof *plan->weights);
    plan->jobs = i4q_arena_alloc(planner->arena, plan->n_weights, sizeof *plan->jobs);
    plan->means = i4q_arena_alloc(planner->arena, plan->n_weights, sizeof *plan->means);
    plan->ranked = i4q_arena_alloc(planner->arena, plan->n_rows, sizeof *plan->ranked);
    if (!plan->rows || !plan->weights || !plan->jobs || !plan->means || !plan->ranked)
        return i4q_fail_memory(planner->error);
    for (size_t i = 0; i < plan->n_weights; i++)
        plan->weights[i] =
            (struct i4q_plan_weight){.fact = &facts->items[i],
                                     .choice = facts->items[i].origin ? &plan->imported : &plan->target,
                                     .predicted_loss = NAN};
    for (size_t i = 0; i < plan->n_rows; i++) {
        plan->rows[i].conv = &facts->convs[i];
        plan->rows[i].weight = i4q_plan_weight_of(plan, facts->convs[i].weight);
    }
    return true;
}

/* ---- the user's choice */

static bool fail_unmatched(struct planner *planner, const struct i4q_name_index *index, const char *pattern)
{
    size_t count, all = planner->plan->n_rows;
    const char *near = i4q_near_pattern(index, pattern, &count);
    if (near)
        return i4q_fail(
            planner->error, I4Q_USAGE,
            "the pattern '%.200s' matches no Conv (of %zu): did you mean '%.200s', which matches %zu?",
            pattern, all, near, count);
    return i4q_fail(planner->error, I4Q_USAGE,
                    "the pattern '%.200s' matches no Conv (of %zu); --allow-unmatched goes on without it",
                    pattern, all);
}

static bool report_unmatched(struct planner *planner, const struct i4q_name_index *index,
                             const struct i4q_patterns *unmatched)
{
    if (unmatched->count && !planner->options->allow_unmatched)
        return fail_unmatched(planner, index, unmatched->items[0]);
    for (size_t i = 0; i < unmatched->count; i++)
        if (!i4q_plan_note(planner->plan, i4q_arena_format(planner->arena, "the pattern '%s' matches no Conv",
                                                           unmatched->items[i])))
            return i4q_fail_memory(planner->error);
    return true;
}

static bool apply_patterns(struct planner *planner, const struct i4q_name_index *index)
{
    struct i4q_arena *arena = index->arena;
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
    return report_unmatched(planner, index, &unmatched);
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
    const void **weights = i4q_arena_alloc(planner->arena, plan->n_rows, sizeof *weights);
    if (!weights)
        return i4q_fail_memory(planner->error);
    for (size_t i = 0; i < plan->n_rows; i++)
        weights[i] = plan->rows[i].conv->weight;
    if (!i4q_sensitivity_read(planner->arena, options->topk_json, index, weights, &plan->sensitivity,
                              planner->error)) {
        planner->error->file = options->topk;
        return false;
    }
    if (!plan->sensitivity.scored && (options->ranking.has_count || options->order)) {
        planner->error->file = options->topk;
        return i4q_fail(planner->error, I4Q_USAGE, "it lists layers without scores, which %s needs",
                        options->order                           ? "--topk-order"
                        : options->ranking.mode == I4Q_RANK_KEEP ? "--keep or --target-size"
                                                                 : "--quantize");
    }
    for (size_t i = 0; i < plan->n_rows; i++)
        plan->rows[i].measurement = ordered(&plan->sensitivity.convs[i], options->order);
    plan->has_sensitivity = true;
    return true;
}

/* The names of all Convs; nobody asks for any where nobody is named. */
static bool index_names(const struct planner *planner, struct i4q_arena *arena, struct i4q_name_index *index)
{
    const struct i4q_plan *plan = planner->plan;
    const struct i4q_plan_options *options = planner->options;
    bool asked = options->include.count || options->exclude.count || options->topk;
    struct i4q_names *names = i4q_arena_alloc(arena, plan->n_rows, sizeof *names);
    for (size_t i = 0; names && asked && i < plan->n_rows; i++) {
        const struct i4q_conv *conv = plan->rows[i].conv;
        if (!i4q_names_make(arena, conv->node->proto->name, conv->weight->name, &names[i]))
            return false;
    }
    return names && i4q_name_index_make(arena, names, plan->n_rows, index);
}

/* The index is large, and of no use behind this. */
static bool apply_names(struct planner *planner)
{
    struct i4q_arena scratch;
    struct i4q_name_index index = {0};
    i4q_arena_init(&scratch, planner->arena->limit - planner->arena->used);
    bool ok = index_names(planner, &scratch, &index) || i4q_fail_memory(planner->error);
    ok = ok && apply_patterns(planner, &index) && apply_sensitivity(planner, &index);
    i4q_arena_free(&scratch);
    return ok;
}

/* ---- reasons that each Conv has by itself */

static void judge_rows(const struct planner *planner)
{
    struct i4q_plan *plan = planner->plan;
    const struct i4q_criteria criteria = {
        .main_graph = plan->facts->model->graph.scopes,
        .import = plan->facts->import,
        .only_import = planner->options->only_import,
        .inputs_are_constant = plan->inputs_are_constant || planner->options->assume_constant,
        .min_weights = planner->options->min_weights,
    };
    for (size_t i = 0; i < plan->n_rows; i++) {
        struct i4q_plan_row *row = &plan->rows[i];
        const struct i4q_candidate candidate = {row->conv, row->weight ? row->weight->fact : NULL,
                                                row->choice, row->exact};
        row->own = i4q_reason_find(&candidate, &criteria);
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

static void rank_rows(struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_rows; i++) {
        struct i4q_plan_row *row = &plan->rows[i];
        plan->n_candidates += !row->own;
        if (!row->own && row->measurement.present)
            plan->ranked[plan->n_ranked++] = row;
    }
    qsort(plan->ranked, plan->n_ranked, sizeof *plan->ranked, compare_rows);
}

/* How many of the ranked ones are kept. */
static size_t count_kept(struct i4q_plan *plan)
{
    const struct i4q_ranking *ranking = &plan->ranking;
    if (!plan->sensitivity.scored)
        return plan->n_ranked;
    if (ranking->mode == I4Q_RANK_WEIGH)
        return 0;
    plan->has_keep = !ranking->has_count || ranking->mode == I4Q_RANK_KEEP;
    plan->keep_is_default = !ranking->has_count && !plan->sensitivity.has_k;
    if (plan->has_keep) {
        plan->keep = ranking->has_count        ? ranking->count
                     : plan->sensitivity.has_k ? plan->sensitivity.k
                                               : DEFAULT_KEEP;
        return plan->keep < plan->n_ranked ? plan->keep : plan->n_ranked;
    }
    size_t quantize =
        ranking->mode == I4Q_RANK_QUANTIZE ? ranking->count : plan->n_candidates * ranking->count / 100;
    return quantize < plan->n_ranked ? plan->n_ranked - quantize : 0;
}

static void choose_rows(struct i4q_plan *plan)
{
    bool only_measured =
        plan->has_sensitivity && plan->ranking.has_count && plan->ranking.mode != I4Q_RANK_KEEP;
    for (size_t i = 0; i < plan->n_rows; i++) {
        struct i4q_plan_row *row = &plan->rows[i];
        bool unmeasured = only_measured && !row->own && !row->measurement.present;
        row->reason = unmeasured ? I4Q_REASON_UNMEASURED : row->own;
    }
    size_t kept = plan->has_sensitivity ? count_kept(plan) : 0;
    for (size_t i = 0; i < kept; i++)
        plan->ranked[i]->reason = I4Q_REASON_SENSITIVE;
}

/* ---- the plan */

bool i4q_plan_make(struct i4q_weights *facts, const struct i4q_plan_options *options, struct i4q_plan *plan,
                   struct i4q_error *error)
{
    struct planner planner = {&facts->model->arena, options, plan, error};
    *plan = (struct i4q_plan){.facts = facts,
                              .target = options->target,
                              .kept = options->kept,
                              .imported = {&i4q_formats[0], options->target.form, i4q_methods[0], 0},
                              .correct_bias = options->correct_bias,
                              .activation_options = options->activations,
                              .statistics = options->statistics,
                              .ranking = options->ranking,
                              .by_outputs = options->by_outputs,
                              .notes = {options->notes.items, options->notes.count, options->notes.count},
                              .inputs_are_constant = inputs_are_constant(facts->model)};
    if (plan->target.format->floats)
        plan->target.method = i4q_method_symmetric(&plan->target.method);
    if (!make_rows(&planner) || !apply_names(&planner))
        return false;
    judge_rows(&planner);
    rank_rows(plan);
    choose_rows(plan);
    if (!i4q_plan_activations_find(plan, options->threads, error) ||
        !i4q_plan_fused_find(plan, options->threads, error))
        return false;
    if (!i4q_plan_quants_find(plan, options->import_all, error))
        return false;
    bool propagate = options->target.method.propagate && options->correct_bias && !options->statistics;
    if (propagate && !i4q_propagate_means(facts, options->threads, plan->means))
        return i4q_fail_memory(error);
    return i4q_plan_settle(plan, error);
}

bool i4q_plan_choose(struct i4q_plan *plan, struct i4q_error *error)
{
    choose_rows(plan);
    return i4q_plan_settle(plan, error);
}

bool i4q_plan_keep(struct i4q_plan *plan, size_t count, struct i4q_error *error)
{
    plan->ranking = (struct i4q_ranking){true, I4Q_RANK_KEEP, count};
    return i4q_plan_choose(plan, error);
}

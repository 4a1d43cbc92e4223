// SPDX-License-Identifier: Apache-2.0
#include "rewrite/rewrite.h"

#include "forms/forms.h"
#include "onnx/edit.h"
#include "onnx/prune.h"
#include "plan/bias.h"
#include "rewrite/activations.h"
#include "rewrite/fused.h"
#include "rewrite/quants.h"

#include <inttypes.h>
#include <string.h>

enum { IR_WITHOUT_INITIALIZER_INPUTS = 4 };

/* ---- graphs */

enum { NONE = UINT32_MAX };

/* One model at work; each of the weights that are stored anew belongs to the graph that defines it. */
struct rewriter {
    struct i4q_model *model;
    const struct i4q_plan *plan;
    int64_t opset;                  /* of the model, as it will be written */
    const struct i4q_table *ranges; /* of activations, for operators that take them */
    struct i4q_emission *emissions; /* one for each weight */
    uint32_t *first, *next;         /* weights of a scope, of each scope in the order of the plan */
};

static bool sort_weights(struct rewriter *rewriter)
{
    struct i4q_model *model = rewriter->model;
    const struct i4q_plan *plan = rewriter->plan;
    rewriter->emissions = i4q_arena_alloc(&model->arena, plan->n_weights, sizeof *rewriter->emissions);
    rewriter->first = i4q_arena_alloc(&model->arena, model->graph.n_scopes, sizeof *rewriter->first);
    rewriter->next = i4q_arena_alloc(&model->arena, plan->n_weights, sizeof *rewriter->next);
    if (!rewriter->emissions || !rewriter->first || !rewriter->next)
        return false;
    for (size_t i = 0; i < model->graph.n_scopes; i++)
        rewriter->first[i] = NONE;
    for (size_t i = plan->n_weights; i-- > 0;) {
        if (!plan->weights[i].recipe)
            continue;
        uint32_t *first = &rewriter->first[plan->weights[i].fact->value->scope->index];
        rewriter->next[i] = *first;
        *first = (uint32_t)i;
    }
    return true;
}

/* The weight that this value of the scope held, if it is stored anew. */
static const struct i4q_plan_weight *stored_weight(const struct rewriter *rewriter,
                                                   const struct i4q_scope *scope, const char *name)
{
    const struct i4q_value *value = i4q_table_get(&scope->values, name);
    const struct i4q_plan_weight *weight = value ? i4q_plan_weight_of(rewriter->plan, value) : NULL;
    return weight && weight->recipe ? weight : NULL;
}

static bool add_all(struct i4q_model *model, struct i4q_list *list, const struct i4q_list *items)
{
    for (size_t i = 0; i < items->count; i++)
        if (!i4q_list_add(&model->arena, list, items->items[i]))
            return false;
    return true;
}

/* The new initializers stand where the weight stood, or at the end when it came from a Constant node. */
static bool replace_initializers(const struct rewriter *rewriter, const struct i4q_scope *scope)
{
    struct i4q_model *model = rewriter->model;
    const struct i4q_plan *plan = rewriter->plan;
    Onnx__GraphProto *graph = scope->graph;
    struct i4q_list list = {0};
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const struct i4q_plan_weight *weight =
            stored_weight(rewriter, scope, i4q_text(graph->initializer[i]->name));
        bool added = weight ? add_all(model, &list, &rewriter->emissions[weight - plan->weights].tensors)
                            : i4q_list_add(&model->arena, &list, graph->initializer[i]);
        if (!added)
            return false;
    }
    for (uint32_t i = rewriter->first[scope->index]; i != NONE; i = rewriter->next[i])
        if (!plan->weights[i].fact->value->initializer &&
            !add_all(model, &list, &rewriter->emissions[i].tensors))
            return false;
    graph->initializer = (Onnx__TensorProto **)list.items;
    graph->n_initializer = list.count;
    return true;
}

/* What takes the place of a node: itself, another one, or NULL. What made a weight goes: a Constant node, or
 * one that decoded it. */
static Onnx__NodeProto *successor(const struct rewriter *rewriter, const struct i4q_scope *scope,
                                  const struct i4q_table *swaps, Onnx__NodeProto *node)
{
    const struct i4q_swap *swap = node->n_output ? i4q_table_get(swaps, node->output[0]) : NULL;
    if (swap)
        return swap->made;
    const struct i4q_plan_weight *weight =
        node->n_output ? stored_weight(rewriter, scope, node->output[0]) : NULL;
    return weight && strcmp(weight->fact->value->name, node->output[0]) == 0 ? NULL : node;
}

/* By the first output of the node that gives way. */
static bool add_swaps(struct i4q_table *swaps, const struct i4q_list *items)
{
    for (size_t i = 0; i < items->count; i++) {
        struct i4q_swap *swap = items->items[i];
        void **slot = i4q_table_at(swaps, swap->node->output[0]);
        if (!slot)
            return false;
        *slot = swap;
    }
    return true;
}

/* The new nodes read initializers only, so the front is always a valid place for them, also for bodies that
 * capture the weight. */
static bool replace_nodes(const struct rewriter *rewriter, const struct i4q_scope *scope)
{
    struct i4q_model *model = rewriter->model;
    Onnx__GraphProto *graph = scope->graph;
    struct i4q_list list = {0};
    struct i4q_table swaps;
    i4q_table_init(&swaps, &model->arena);
    for (uint32_t i = rewriter->first[scope->index]; i != NONE; i = rewriter->next[i]) {
        const struct i4q_emission *emission = &rewriter->emissions[i];
        if (!add_all(model, &list, &emission->nodes) || !add_swaps(&swaps, &emission->swaps))
            return false;
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = successor(rewriter, scope, &swaps, graph->node[i]);
        if (node && !i4q_list_add(&model->arena, &list, node))
            return false;
    }
    graph->node = (Onnx__NodeProto **)list.items;
    graph->n_node = list.count;
    return true;
}

/* Messages, not the index, which tells of the uses as they were. */
static bool rewire(const struct rewriter *rewriter, const struct i4q_scope *scope)
{
    for (uint32_t i = rewriter->first[scope->index]; i != NONE; i = rewriter->next[i]) {
        const struct i4q_list *rewires = &rewriter->emissions[i].rewires;
        for (size_t k = 0; k < rewires->count; k++) {
            const struct i4q_rewire *rewire = rewires->items[k];
            if (!i4q_edit_set_input(rewriter->model, rewire->use->node->proto, rewire->use->input,
                                    rewire->value))
                return false;
        }
    }
    return true;
}

/* What stands for the weights that one graph defines. */
static bool emit_weights(const struct rewriter *rewriter, const struct i4q_scope *scope)
{
    struct i4q_model *model = rewriter->model;
    struct i4q_table *shared = i4q_arena_alloc(&model->arena, 1, sizeof *shared);
    if (!shared)
        return false;
    i4q_table_init(shared, &model->arena);
    for (uint32_t i = rewriter->first[scope->index]; i != NONE; i = rewriter->next[i]) {
        const struct i4q_plan_weight *weight = &rewriter->plan->weights[i];
        struct i4q_emission *emission = &rewriter->emissions[i];
        *emission = (struct i4q_emission){.model = model,
                                          .weight = weight->fact,
                                          .job = weight->job,
                                          .opset = rewriter->opset,
                                          .shared = shared,
                                          .ranges = rewriter->ranges};
        weight->form->emit(emission);
        const struct i4q_node *maker = weight->fact->origin ? weight->fact->value->producer : NULL;
        for (size_t k = 0; maker && k < maker->proto->n_input; k++)
            i4q_emit_unread(emission, maker->proto->input[k]);
        if (emission->failed)
            return false;
    }
    return true;
}

/* What the nodes that gave way were the last to read. */
static bool prune(const struct rewriter *rewriter, const struct i4q_scope *scope)
{
    struct i4q_list unread = {0};
    for (uint32_t i = rewriter->first[scope->index]; i != NONE; i = rewriter->next[i])
        if (!add_all(rewriter->model, &unread, &rewriter->emissions[i].unread))
            return false;
    return !unread.count || i4q_prune(rewriter->model, scope->graph, &unread);
}

/* One function a form, for all that its emissions made use of. */
static bool add_functions(const struct rewriter *rewriter)
{
    const struct i4q_plan *plan = rewriter->plan;
    for (const struct i4q_form *const *form = i4q_forms; *form; form++) {
        unsigned features = 0;
        for (size_t i = 0; i < plan->n_weights; i++)
            if (plan->weights[i].recipe && plan->weights[i].form == *form)
                features |= rewriter->emissions[i].features;
        if (!features || !(*form)->function)
            continue;
        Onnx__FunctionProto *function = (*form)->function(rewriter->model, rewriter->opset, features);
        if (!function || !i4q_edit_set_function(rewriter->model, function))
            return false;
    }
    return true;
}

static bool replace_weights(struct i4q_model *model, const struct i4q_plan *plan, int64_t opset)
{
    struct i4q_table ranges;
    struct rewriter rewriter = {.model = model, .plan = plan, .opset = opset, .ranges = &ranges};
    i4q_table_init(&ranges, &model->arena);
    bool applied = plan->fused ? i4q_fused_apply(plan) : i4q_activations_apply(plan, &ranges);
    if (!applied || !sort_weights(&rewriter))
        return false;
    for (struct i4q_scope *scope = model->graph.scopes; scope; scope = scope->next)
        if (rewriter.first[scope->index] != NONE &&
            (!emit_weights(&rewriter, scope) || !i4q_edit_open(model, &scope->graph->base) ||
             !replace_initializers(&rewriter, scope) || !replace_nodes(&rewriter, scope) ||
             !rewire(&rewriter, scope) || !prune(&rewriter, scope)))
            return false;
    return add_functions(&rewriter);
}

/* The domains of the nodes that were made. */
static bool import_domains(struct i4q_model *model, const struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        if (weight->recipe && weight->form->domain && !i4q_edit_import(model, weight->form->domain))
            return false;
    }
    return true;
}

/* Initializers leave graph.input: all of them where the list is but a habit, else those of the weights alone.
 * A value that is both an input and the output of a node would be defined twice; and from IR version 4 on a
 * listed initializer could be replaced by the caller, which nobody meant here. */
static bool drop_constant_inputs(struct i4q_model *model, const struct i4q_plan *plan, size_t *dropped)
{
    Onnx__GraphProto *graph = model->proto->graph;
    bool *imported = i4q_arena_alloc(&model->arena, model->graph.n_values, sizeof *imported);
    if (!imported || !i4q_edit_open(model, &graph->base))
        return false;
    for (size_t i = 0; i < plan->n_weights; i++)
        if (plan->weights[i].recipe && plan->weights[i].fact->origin)
            imported[plan->weights[i].fact->origin->stored->index] = true;
    size_t kept = 0;
    for (size_t i = 0; i < graph->n_input; i++) {
        const struct i4q_value *value =
            i4q_table_get(&model->graph.scopes->values, i4q_text(graph->input[i]->name));
        const struct i4q_plan_weight *weight = i4q_plan_weight_of(plan, value);
        bool constant = plan->inputs_are_constant || (weight && weight->recipe) || imported[value->index];
        if (!value->initializer || !constant)
            graph->input[kept++] = graph->input[i];
    }
    *dropped = graph->n_input - kept;
    graph->n_input = kept;
    return true;
}

/* ---- the model */

static int64_t main_opset(const struct i4q_model *model)
{
    return i4q_opset_version(model->proto->opset_import, model->proto->n_opset_import);
}

/* The least versions that the stored forms need, or the model's own if they are higher. */
static int64_t opset_needed(const struct i4q_model *model, const struct i4q_plan *plan)
{
    int64_t own = main_opset(model), needed = i4q_activations_opset(plan), quants = i4q_quants_opset(plan);
    needed = needed < own ? own : needed;
    needed = needed < quants ? quants : needed;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        int64_t opset = weight->recipe ? weight->form->opset(weight->job) : 0;
        needed = needed < opset ? opset : needed;
    }
    return needed;
}

static int64_t ir_version_needed(const struct i4q_model *model, const struct i4q_plan *plan)
{
    int64_t needed = model->proto->ir_version;
    needed = needed < IR_WITHOUT_INITIALIZER_INPUTS ? IR_WITHOUT_INITIALIZER_INPUTS : needed;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        int64_t version = weight->recipe ? weight->form->ir_version(weight->job) : 0;
        needed = needed < version ? version : needed;
    }
    return needed;
}

/* What stores the weights of the plan otherwise, and needs less. */
static const struct way {
    const char *options, *format; /* NULL: the plan's own */
    const struct i4q_form *form;
} ways[] = {
    {"--dq-domain com.microsoft", NULL, &i4q_form_dq_microsoft},
    {"--format packed-u8", "packed-u8", &i4q_form_packed},
    {"--format int8", "int8", &i4q_form_dq},
};

static int64_t opset_of_way(const struct i4q_plan *plan, const struct way *way)
{
    int64_t needed = i4q_activations_opset(plan);
    for (size_t i = 0; i < plan->n_weights; i++) {
        if (!plan->weights[i].recipe)
            continue;
        struct i4q_quantize_job job = *plan->weights[i].job;
        job.format = way->format ? i4q_format_find(way->format) : job.format;
        job.block = 0;
        int64_t opset = way->form->opset(&job);
        needed = needed < opset ? opset : needed;
    }
    return needed;
}

/* Adds to the refusal of an upgrade what would do without one. */
static bool tell_ways_around(const struct i4q_plan *plan, int64_t opset, int64_t needed,
                             struct i4q_error *error)
{
    int64_t own = main_opset(plan->facts->model);
    const char *separator = "; what leaves the opset as it is: ";
    if (error->code != I4Q_MODEL || !own)
        return false;
    if (opset > needed)
        return i4q_fail_more(error, "; without --opset the result has opset %" PRId64, needed);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (opset_of_way(plan, &ways[i]) <= own) {
            i4q_fail_more(error, "%s%s", separator, ways[i].options);
            separator = ", ";
        }
    return false;
}

static bool set_versions(struct i4q_model *model, const struct i4q_plan *plan, int64_t opset,
                         struct i4q_rewrite *result, struct i4q_error *error)
{
    int64_t needed = opset_needed(model, plan);
    if (opset && opset < needed)
        return i4q_fail(error, I4Q_USAGE, "--opset %" PRId64 " is below %" PRId64 ", which the result needs",
                        opset, needed);
    if (!i4q_opset_upgrade(model, opset ? opset : needed, &result->upgrades, error))
        return tell_ways_around(plan, opset, needed, error);
    if (!i4q_edit_open(model, &model->proto->base))
        return i4q_fail_memory(error);
    model->proto->ir_version = ir_version_needed(model, plan);
    return true;
}

bool i4q_rewrite_apply(const struct i4q_plan *plan, int64_t opset, struct i4q_rewrite *result,
                       struct i4q_error *error)
{
    struct i4q_model *model = plan->facts->model;
    *result = (struct i4q_rewrite){.ir_version[0] = model->proto->ir_version, .opset[0] = main_opset(model)};
    if (i4q_plan_writes(plan)) {
        if (!set_versions(model, plan, opset, result, error))
            return false;
        if (!i4q_bias_apply(plan) || !drop_constant_inputs(model, plan, &result->inputs_dropped) ||
            !replace_weights(model, plan, main_opset(model)) || !import_domains(model, plan) ||
            !i4q_quants_apply(plan))
            return i4q_fail_memory(error);
    }
    result->ir_version[1] = model->proto->ir_version;
    result->opset[1] = main_opset(model);
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "rewrite/restore_activations.h"

#include "forms/qonnx.h"
#include "onnx/edit.h"
#include "onnx/prune.h"
#include "onnx/ranks.h"
#include "rewrite/factor.h"
#include "rewrite/input_ranges.h"

#include <string.h>

struct restorer {
    struct i4q_model *model;
    enum i4q_activation_aim aim;
    struct i4q_activation_restoration *result;
    const int64_t *ranks;            /* see onnx/ranks.h */
    const struct i4q_value **source; /* by the index of a value: what its readers shall read; NULL: itself */
    bool *dead;                      /* by the index of a node */
    Onnx__NodeProto **substitute;    /* by the index of a node: what takes its place; NULL: nothing */
    struct i4q_list unread;          /* names that may stand for nothing any more */
    struct i4q_error *error;
};

/* ---- what becomes of a pair */

/* Why the pair must stay; NULL: it need not. */
static const char *find_reason(const struct restorer *restorer, const struct i4q_activation_pair *pair)
{
    if (pair->scale.type != pair->decoded_scale.type ||
        i4q_node_int(pair->dequantize->proto, "output_dtype", 0))
        return "its type changes";
    if (i4q_activation_is_plain(pair))
        return NULL;
    if (!i4q_factor_has_same_zeros(pair))
        return "its zero points differ";
    bool single = pair->scale.type->type == I4Q_TYPE(FLOAT),
         half = pair->scale.type->type == I4Q_TYPE(FLOAT16);
    if (!pair->dequantize->scope->graph || !(single || half))
        return "its scales differ";
    size_t rank = i4q_factor_rank(restorer->ranks, pair);
    return pair->channels && i4q_factor_axis(pair, rank) == rank
               ? "its scales differ, and its rank is not known"
               : NULL;
}

/* ---- as a Quant, whose zero point is 0 */

/* Codes are what rounding gives, plus the zero point: so the Quant has the range that is left without it. */
static bool find_grid(const struct i4q_activation_pair *pair, struct i4q_quant_grid *grid)
{
    int zero = (int)i4q_activation_number(&pair->zero_point, 0), low = pair->low - zero,
        high = pair->high - zero, half = 1 << (pair->bits - 1), span = high - low;
    for (size_t i = 1; i < pair->zero_point.count; i++)
        if ((int)i4q_activation_number(&pair->zero_point, i) != zero)
            return false;
    grid->bits = pair->bits;
    grid->is_signed = low < 0;
    grid->narrow = span == 2 * half - 2;
    grid->count = pair->channels ? pair->channels : 1;
    return span >= 2 * half - 2 && (grid->is_signed ? high == half - 1 : low == 0);
}

static const char *find_quant_reason(const struct restorer *restorer, const struct i4q_activation_pair *pair)
{
    struct i4q_quant_grid grid;
    size_t rank = i4q_factor_rank(restorer->ranks, pair);
    if (!i4q_activation_is_plain(pair))
        return "scale";
    if (pair->scale.type != pair->decoded_scale.type || pair->scale.type->type != I4Q_TYPE(FLOAT) ||
        i4q_node_int(pair->dequantize->proto, "output_dtype", 0))
        return "dtype";
    if (!pair->dequantize->scope->graph)
        return "function";
    if (pair->channels && i4q_factor_axis(pair, rank) == rank)
        return "rank";
    return find_grid(pair, &grid) ? NULL : "zero-point";
}

static void decide(const struct restorer *restorer, const struct i4q_activation_pair *pair,
                   struct i4q_restored_activation *restored)
{
    bool plain = i4q_activation_is_plain(pair);
    restored->pair = pair;
    if (restorer->aim == I4Q_ACTIVATIONS_QUANT) {
        restored->reason = find_quant_reason(restorer, pair);
        restored->fate = restored->reason ? I4Q_ACTIVATION_LEFT : I4Q_ACTIVATION_QUANT;
        return;
    }
    restored->reason = find_reason(restorer, pair);
    restored->fate = restored->reason ? I4Q_ACTIVATION_LEFT
                     : plain          ? I4Q_ACTIVATION_GONE
                                      : I4Q_ACTIVATION_FACTOR;
}

static bool decide_all(struct restorer *restorer, const struct i4q_activation_pair *pairs, size_t count)
{
    struct i4q_activation_restoration *result = restorer->result;
    for (size_t i = 0; i < count; i++) {
        struct i4q_restored_activation *restored = &result->activations[result->count++];
        if (pairs[i].flaw)
            return i4q_fail(restorer->error, I4Q_MODEL, "node '%s': %s",
                            i4q_node_label(pairs[i].quantize->proto), pairs[i].flaw);
        decide(restorer, &pairs[i], restored);
        result->fates[restored->fate]++;
        if (restored->fate == I4Q_ACTIVATION_GONE && !pairs[i].result->is_output)
            restorer->source[pairs[i].result->index] = pairs[i].tensor;
    }
    return true;
}

/* ---- edits */

/* The name of a value, or of what stands in its place: several pairs may follow each other. */
static const char *name_of(const struct restorer *restorer, const struct i4q_value *value)
{
    while (restorer->source[value->index])
        value = restorer->source[value->index];
    return value->name;
}

/* The shape of the scales of Quant: [1, ..., channels, 1, ...] */
static const int64_t *make_column(struct restorer *restorer, const struct i4q_activation_pair *pair,
                                  size_t rank)
{
    int64_t *dims = i4q_arena_alloc(&restorer->model->arena, rank, sizeof *dims);
    for (size_t i = 0; dims && i < rank; i++)
        dims[i] = i == i4q_factor_axis(pair, rank) ? (int64_t)pair->channels : 1;
    return dims;
}

static const float *take_scales(struct restorer *restorer, const struct i4q_activation_pair *pair, size_t n)
{
    float *scales = i4q_arena_alloc(&restorer->model->arena, n, sizeof *scales);
    for (size_t i = 0; scales && i < n; i++)
        scales[i] = (float)i4q_activation_number(&pair->scale, i);
    return scales;
}

static bool put_quant(struct restorer *restorer, const struct i4q_activation_pair *pair)
{
    struct i4q_model *model = restorer->model;
    Onnx__TensorProto plain = ONNX__TENSOR_PROTO__INIT; /* not external */
    struct i4q_table shared;
    const struct i4q_weight value = {.value = (struct i4q_value *)pair->result, .proto = &plain};
    struct i4q_emission emission = {.model = model, .weight = &value, .shared = &shared};
    struct i4q_quant_grid grid;
    size_t rank = i4q_factor_rank(restorer->ranks, pair);
    if (!find_grid(pair, &grid))
        return false;
    grid.scales = take_scales(restorer, pair, grid.count);
    const int64_t *dims = grid.count == 1 ? NULL : make_column(restorer, pair, rank);
    i4q_table_init(&shared, &model->arena);
    if (!grid.scales || (grid.count > 1 && !dims))
        return false;
    restorer->substitute[pair->dequantize->index] =
        i4q_emit_quant(&emission, &grid, name_of(restorer, pair->tensor), dims, rank, NULL);
    for (size_t i = 0; i < emission.tensors.count && !emission.failed; i++)
        emission.failed |=
            !i4q_edit_add_initializer(model, pair->dequantize->scope, emission.tensors.items[i]);
    return !emission.failed;
}

/* The node in the place of the DequantizeLinear: Mul by the factor, or a copy, when the result has a name
 * that must stay. */
static bool substitute(struct restorer *restorer, const struct i4q_restored_activation *restored)
{
    const struct i4q_activation_pair *pair = restored->pair;
    bool is_factor = restored->fate == I4Q_ACTIVATION_FACTOR;
    const char *inputs[] = {name_of(restorer, pair->tensor), NULL}, *output = pair->result->name;
    if (restored->fate == I4Q_ACTIVATION_QUANT)
        return put_quant(restorer, pair);
    if (!is_factor && !pair->result->is_output)
        return true;
    if (is_factor &&
        !(inputs[1] = i4q_factor_add(restorer->model, pair, i4q_factor_rank(restorer->ranks, pair))))
        return false;
    Onnx__NodeProto *node =
        i4q_edit_node(restorer->model, is_factor ? "Mul" : "Identity", pair->dequantize->proto->name, inputs,
                      is_factor ? 2 : 1, &output, 1);
    restorer->substitute[pair->dequantize->index] = node;
    return node;
}

static bool redirect(struct restorer *restorer, const struct i4q_value *result)
{
    const char *name = name_of(restorer, result);
    for (const struct i4q_use *use = result->uses; use && name != result->name; use = use->next)
        if (!i4q_edit_set_input(restorer->model, use->node->proto, use->input, name))
            return false;
    return true;
}

static bool is_read(const struct restorer *restorer, const struct i4q_node *node)
{
    const struct i4q_value *value = i4q_output_value(node, 0);
    bool read = !value || value->is_output;
    for (const struct i4q_use *use = value ? value->uses : NULL; use && !read; use = use->next)
        read = !restorer->dead[use->node->index];
    return read;
}

static bool note_names(struct restorer *restorer, const struct i4q_node *node)
{
    struct i4q_arena *arena = &restorer->model->arena;
    bool ok = i4q_list_add(arena, &restorer->unread, node->proto->output[0]);
    for (size_t i = 1; i < node->proto->n_input && ok; i++)
        ok = i4q_list_add(arena, &restorer->unread, node->proto->input[i]);
    return ok;
}

static bool kill(struct restorer *restorer, const struct i4q_node *node)
{
    bool dead = restorer->dead[node->index];
    restorer->dead[node->index] = true;
    return dead || note_names(restorer, node);
}

/* What stands in front of the DequantizeLinear goes where nobody else reads it. */
static bool kill_front(struct restorer *restorer, const struct i4q_activation_pair *pair)
{
    for (size_t i = pair->n_clips; i-- > 0;)
        if (!is_read(restorer, pair->clips[i]) && !kill(restorer, pair->clips[i]))
            return false;
    return is_read(restorer, pair->quantize) || kill(restorer, pair->quantize);
}

enum { OPSET_AXIS = 13 };

/* What stays is of the standard domain at least, where that has it: readers of QONNX know no other's. */
static bool standardize(struct restorer *restorer, const struct i4q_activation_pair *pair)
{
    const struct i4q_node *const nodes[] = {pair->quantize, pair->dequantize};
    int64_t has = i4q_scope_opset(restorer->model, pair->dequantize->scope), needs = pair->codes->dequantize;
    needs = needs < pair->scale.type->dequantize ? pair->scale.type->dequantize : needs;
    needs = pair->channels && needs < OPSET_AXIS ? OPSET_AXIS : needs;
    for (size_t i = 0; i < 2 && has >= needs; i++) {
        if (!i4q_edit_open(restorer->model, &nodes[i]->proto->base))
            return false;
        nodes[i]->proto->domain = (char *)"";
    }
    return true;
}

static bool edit_pairs(struct restorer *restorer)
{
    const struct i4q_activation_restoration *result = restorer->result;
    for (size_t i = 0; i < result->count; i++) {
        const struct i4q_restored_activation *restored = &result->activations[i];
        if (restored->fate != I4Q_ACTIVATION_LEFT &&
            (!substitute(restorer, restored) || !redirect(restorer, restored->pair->result) ||
             !kill(restorer, restored->pair->dequantize)))
            return false;
        if (restored->fate == I4Q_ACTIVATION_LEFT && restorer->aim == I4Q_ACTIVATIONS_QUANT &&
            !standardize(restorer, restored->pair))
            return false;
    }
    for (size_t i = 0; i < result->count; i++)
        if (result->activations[i].fate != I4Q_ACTIVATION_LEFT &&
            !kill_front(restorer, result->activations[i].pair))
            return false;
    return true;
}

/* ---- graphs */

static void sweep(const struct restorer *restorer, const struct i4q_scope *scope)
{
    Onnx__NodeProto **nodes = scope->graph ? scope->graph->node : scope->function->node;
    size_t kept = 0;
    for (size_t i = 0; i < scope->n_nodes; i++) {
        const struct i4q_node *node = &scope->nodes[i];
        Onnx__NodeProto *now = restorer->dead[node->index] ? restorer->substitute[node->index] : node->proto;
        if (now)
            nodes[kept++] = now;
    }
    *(scope->graph ? &scope->graph->n_node : &scope->function->n_node) = kept;
}

static bool edit_graphs(struct restorer *restorer)
{
    if (!edit_pairs(restorer))
        return false;
    for (const struct i4q_scope *scope = restorer->model->graph.scopes; scope; scope = scope->next)
        sweep(restorer, scope);
    for (const struct i4q_scope *scope = restorer->model->graph.scopes; scope; scope = scope->next)
        if (scope->graph && !i4q_prune(restorer->model, scope->graph, &restorer->unread))
            return false;
    return true;
}

static bool open_restorer(struct restorer *restorer, size_t count)
{
    struct i4q_arena *arena = &restorer->model->arena;
    const struct i4q_graph *graph = &restorer->model->graph;
    *restorer->result = (struct i4q_activation_restoration){
        .activations = i4q_arena_alloc(arena, count, sizeof *restorer->result->activations)};
    restorer->ranks = i4q_find_ranks(restorer->model);
    restorer->source = i4q_arena_alloc(arena, graph->n_values, sizeof *restorer->source);
    restorer->dead = i4q_arena_alloc(arena, graph->n_nodes, sizeof *restorer->dead);
    restorer->substitute = i4q_arena_alloc(arena, graph->n_nodes, sizeof *restorer->substitute);
    return (restorer->result->activations && restorer->ranks && restorer->source && restorer->dead &&
            restorer->substitute) ||
           i4q_fail_memory(restorer->error);
}

bool i4q_restore_activations(struct i4q_model *model, enum i4q_activation_aim aim,
                             struct i4q_activation_restoration *restoration, struct i4q_error *error)
{
    struct i4q_activation_pair *pairs;
    size_t count;
    struct restorer restorer = {.model = model, .aim = aim, .result = restoration, .error = error};
    if (!i4q_input_ranges_split(model, error) || !i4q_activations_find(model, &pairs, &count, error) ||
        !open_restorer(&restorer, count) || !decide_all(&restorer, pairs, count))
        return false;
    if (!edit_graphs(&restorer) ||
        (restoration->fates[I4Q_ACTIVATION_QUANT] && !i4q_edit_import(model, i4q_qonnx_domain)))
        return i4q_fail_memory(error);
    if (!i4q_model_index(model, error))
        return false;
    i4q_prune_import(model, "com.microsoft");
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "rewrite/export.h"

#include "forms/origin_quant.h"
#include "forms/qonnx.h"
#include "onnx/edit.h"
#include "rewrite/biases.h"

#include <math.h>

enum { TILE = 4096, MOST_BITS = 16 };

/* What the Quant of a weight tells, and where the weight is. */
struct found {
    struct i4q_exported told;
    const Onnx__GraphProto *graph;
    size_t axis;
    bool half;
    struct i4q_quant_grid grid;
};

struct exporter {
    struct i4q_model *model;
    const struct i4q_kernels *kernels;
    struct i4q_list found; /* struct found */
    bool failed;           /* memory ran out */
};

/* ---- the grid */

/* The numbers of a weight, whether a form of ours or somebody else's nodes decode them. */
struct source {
    const struct i4q_storage *storage;
    const struct i4q_stored *stored;
    const struct i4q_numbers *scale; /* NULL: 1 */
    size_t axis;                     /* along which scales differ */
};

static struct source source_of(const struct i4q_storage *storage, const struct i4q_stored *stored)
{
    const struct i4q_origin *origin = stored->origin;
    if (!origin)
        return (struct source){storage, stored, &stored->scale, (size_t)storage->axis};
    return (struct source){storage, stored, origin->scale.proto ? &origin->scale.numbers : NULL,
                           origin->scale.axis};
}

static size_t count_scales(const struct source *source)
{
    return source->scale ? source->scale->count : 1;
}

static double scale_of(const struct source *source, size_t i)
{
    return source->scale ? i4q_number(source->scale, i) : 1;
}

/* Elements behind an axis, as the weight is shaped. */
static size_t inner_of(const struct i4q_storage *storage, size_t axis)
{
    size_t inner = 1;
    for (size_t i = axis + 1; i < storage->rank; i++)
        inner *= (size_t)storage->dims[i];
    return inner;
}

/* Whether scales differ along one axis of the weight at most. */
static const char *find_scales(const struct source *source)
{
    const struct i4q_storage *storage = source->storage;
    size_t axis = source->axis, count = count_scales(source);
    if (storage->granularity == I4Q_BLOCK)
        return "block";
    if (count == 1)
        return NULL;
    bool fits = storage->granularity == I4Q_PER_CHANNEL && axis < storage->rank &&
                (size_t)storage->dims[axis] == count &&
                (source->stored->origin || inner_of(storage, axis) == source->stored->inner);
    return fits ? NULL : "scale-shape";
}

static double zero_of(const struct source *source, size_t i)
{
    if (!source->stored->origin)
        return i4q_stored_zero(source->stored, i);
    const struct i4q_parameter *zero = &source->stored->origin->zero;
    size_t count = zero->proto ? zero->numbers.count : 0;
    return count ? i4q_number(&zero->numbers, i / inner_of(source->storage, zero->axis) % count) : 0;
}

static void read_codes(const struct exporter *exporter, const struct source *source, size_t start, size_t n,
                       int16_t *codes)
{
    if (source->stored->origin)
        i4q_origin_codes(source->stored->origin, start, n, codes);
    else
        i4q_stored_codes(source->stored, exporter->kernels, start, n, codes);
}

/* The least and the largest k. False: a zero point that is no integer. */
static bool find_range(const struct exporter *exporter, const struct source *source, double *low,
                       double *high)
{
    size_t count = source->storage->count;
    *low = *high = 0;
    for (size_t start = 0; start < count; start += TILE) {
        int16_t codes[TILE];
        size_t n = count - start < TILE ? count - start : TILE;
        read_codes(exporter, source, start, n, codes);
        for (size_t i = 0; i < n; i++) {
            double k = codes[i] - zero_of(source, start + i);
            if (k != rint(k))
                return false;
            *low = k < *low ? k : *low;
            *high = k > *high ? k : *high;
        }
    }
    return true;
}

/* Of the codes as they are stored, or as what clips them tells. */
static unsigned stored_bits(const struct source *source)
{
    const struct i4q_origin *origin = source->stored->origin;
    if (origin)
        return i4q_origin_width(origin);
    return source->storage->spread_bits ? source->storage->spread_bits : source->stored->codes.bits;
}

/* As many bits as are stored, with a sign where there is one, or if it takes no more. */
static const char *choose_bits(const struct exporter *exporter, const struct source *source,
                               struct i4q_quant_grid *grid)
{
    double low, high;
    if (!find_range(exporter, source, &low, &high))
        return "zero-point";
    grid->bits = stored_bits(source);
    grid->is_signed = low < 0 || high < ldexp(1, (int)grid->bits - 1);
    while (grid->bits < MOST_BITS &&
           (high > ldexp(1, (int)grid->bits - grid->is_signed) - 1 || low < -ldexp(1, (int)grid->bits - 1)))
        grid->bits++;
    grid->narrow = grid->is_signed && low > -ldexp(1, (int)grid->bits - 1);
    return grid->bits < MOST_BITS ? NULL : "zero-point";
}

/* The scales, which are to be divided by. */
static const char *read_scales(struct exporter *exporter, const struct source *source,
                               struct i4q_quant_grid *grid)
{
    size_t n = count_scales(source);
    for (size_t i = 0; i < n; i++)
        if (!(scale_of(source, i) > 0))
            return "scale-value";
    float *scales = i4q_arena_alloc(&exporter->model->arena, n, sizeof *scales);
    exporter->failed |= !scales;
    for (size_t i = 0; scales && i < n; i++)
        scales[i] = (float)scale_of(source, i);
    grid->scales = scales;
    grid->count = n;
    return NULL;
}

/* Memory is taken last: of what stays as it is there may be much in a small file. */
static const char *find_grid(struct exporter *exporter, const struct source *source,
                             struct i4q_quant_grid *grid)
{
    const char *reason = find_scales(source);
    reason = reason ? reason : choose_bits(exporter, source, grid);
    return reason ? reason : read_scales(exporter, source, grid);
}

static bool take(void *context, const struct i4q_conv *conv, const struct i4q_storage *storage,
                 const struct i4q_stored *stored)
{
    struct exporter *exporter = context;
    if (storage->origin && i4q_is_quant(storage->origin->value->producer->proto)) /* it is there */
        return false;
    struct i4q_arena *arena = &exporter->model->arena;
    struct found *found = i4q_arena_alloc(arena, 1, sizeof *found);
    exporter->failed |= !found || !i4q_list_add(arena, &exporter->found, found);
    if (exporter->failed)
        return false;
    const struct source source = source_of(storage, stored);
    *found = (struct found){
        .graph = i4q_restored_value(conv)->scope->graph, .axis = source.axis, .half = stored->half};
    found->told.weight = i4q_restored_of(conv, storage);
    found->told.reason = find_grid(exporter, &source, &found->grid);
    found->told.bits = found->grid.bits;
    found->told.widened = found->grid.bits > stored_bits(&source);
    return !found->told.reason && !exporter->failed;
}

/* ---- nodes */

/* What the graph of a scope gets. */
struct front {
    struct i4q_table shared;
    struct i4q_list nodes;
};

static struct i4q_scope *scope_of(const struct i4q_model *model, const Onnx__GraphProto *graph)
{
    struct i4q_scope *scope = model->graph.scopes;
    while (scope->graph != graph)
        scope = scope->next;
    return scope;
}

/* The initializer W becomes W_float; what is made beside it goes into the graph. */
static bool place(struct i4q_model *model, struct i4q_scope *scope, const struct i4q_emission *emission,
                  struct front *front)
{
    for (size_t i = 0; i < emission->tensors.count; i++)
        if (!i4q_edit_add_initializer(model, scope, emission->tensors.items[i]))
            return false;
    for (size_t i = 0; i < emission->nodes.count; i++)
        if (!i4q_list_add(&model->arena, &front->nodes, emission->nodes.items[i]))
            return false;
    for (size_t i = 0; i < emission->rewires.count; i++) {
        const struct i4q_rewire *rewire = emission->rewires.items[i];
        if (!i4q_edit_set_input(model, rewire->use->node->proto, rewire->use->input, rewire->value))
            return false;
    }
    return true;
}

static bool put_quant(struct i4q_model *model, const struct found *found, struct front *fronts)
{
    struct i4q_error ignored = {0};
    struct i4q_scope *scope = scope_of(model, found->graph);
    struct i4q_value *value = i4q_table_get(&scope->values, found->told.weight.weight);
    Onnx__TensorProto *stored = value->initializer;
    struct i4q_weight weight = {.value = value, .proto = stored, .channel_axis = found->axis};
    struct i4q_emission emission = {
        .model = model, .weight = &weight, .shared = &fronts[scope->index].shared};
    const char *base = i4q_arena_format(&model->arena, "%s_float", value->name);
    char *name = base ? i4q_graph_new_name(&model->graph, base) : NULL;
    if (!name || !i4q_tensor_describe(stored, &weight.tensor, &ignored))
        return false;
    weight.tensor.type = found->half ? I4Q_TYPE(FLOAT16) : I4Q_TYPE(FLOAT);
    stored->name = name;
    i4q_emit_quant_weight(&emission, &found->grid, name);
    return !emission.failed && place(model, scope, &emission, &fronts[scope->index]);
}

/* The new nodes read initializers only. */
static bool put_front(struct i4q_model *model, struct i4q_scope *scope, struct front *front)
{
    Onnx__GraphProto *graph = scope->graph;
    for (size_t i = 0; i < graph->n_node && front->nodes.count; i++)
        if (!i4q_list_add(&model->arena, &front->nodes, graph->node[i]))
            return false;
    if (front->nodes.count) {
        graph->node = (Onnx__NodeProto **)front->nodes.items;
        graph->n_node = front->nodes.count;
    }
    return true;
}

static bool put_all(struct exporter *exporter)
{
    struct i4q_model *model = exporter->model;
    struct front *fronts = i4q_arena_alloc(&model->arena, model->graph.n_scopes, sizeof *fronts);
    for (size_t i = 0; fronts && i < model->graph.n_scopes; i++)
        i4q_table_init(&fronts[i].shared, &model->arena);
    for (size_t i = 0; fronts && i < exporter->found.count; i++) {
        const struct found *found = exporter->found.items[i];
        if (!found->told.reason && !put_quant(model, found, fronts))
            return false;
    }
    for (struct i4q_scope *scope = model->graph.scopes; fronts && scope; scope = scope->next)
        if (scope->graph && !put_front(model, scope, &fronts[scope->index]))
            return false;
    return fronts != NULL;
}

/* ---- the model */

static bool tell(struct exporter *exporter, struct i4q_export *result)
{
    result->n_weights = exporter->found.count;
    result->weights = i4q_arena_alloc(&exporter->model->arena, result->n_weights, sizeof *result->weights);
    for (size_t i = 0; result->weights && i < result->n_weights; i++) {
        struct found *found = exporter->found.items[i];
        result->weights[i] = &found->told;
        result->n_left += found->told.reason != NULL;
        result->n_widened += found->told.widened;
    }
    return result->weights != NULL;
}

bool i4q_export(struct i4q_model *model, const struct i4q_kernels *kernels, struct i4q_export *result,
                struct i4q_error *error)
{
    struct exporter exporter = {.model = model, .kernels = kernels};
    const struct i4q_restore_choice choice = {.take = take, .context = &exporter, .widen = true};
    struct i4q_restoration restoration;
    *result = (struct i4q_export){0};
    if (!i4q_restore(model, kernels, &choice, &restoration, error) ||
        !i4q_fold_biases(model, &result->n_biases, error))
        return false;
    if (exporter.failed || !put_all(&exporter) || !tell(&exporter, result) ||
        (result->n_weights > result->n_left && !i4q_edit_import(model, i4q_qonnx_domain)))
        return i4q_fail_memory(error);
    return i4q_model_index(model, error);
}

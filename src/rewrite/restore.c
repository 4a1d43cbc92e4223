// SPDX-License-Identifier: Apache-2.0
#include "rewrite/restore.h"

#include "base/checked.h"
#include "base/half.h"
#include "forms/convs.h"
#include "forms/forms.h"
#include "forms/nbits_expand.h"
#include "forms/origin_quant.h"
#include "forms/reader.h"
#include "onnx/edit.h"
#include "onnx/prune.h"
#include "rewrite/input_ranges.h"

#include <string.h>

enum { TILE = 4096, MAX_DEPTH = 64 };

/* Many decoders may read the same codes, but not turn a small model into one that fills the memory. */
enum { RESTORED_RATIO = 64, RESTORED_ROOM = 16 << 20 };

/* What becomes of a value of the model. */
struct fate {
    bool left;   /* a weight that stays as it is */
    bool goes;   /* nothing reads it any more: with its initializer, or the node that makes it */
    bool listed; /* is among the graph's inputs since the exporter lists weights; leaves them when it goes */
    const struct i4q_use *use;   /* the first that may still be in need of it, once it was asked for */
    Onnx__TensorProto *restored; /* the initializer that it becomes, or whose place it leaves */
};

struct restorer {
    struct i4q_model *model;
    const struct i4q_kernels *kernels;
    const struct i4q_restore_choice *choice; /* NULL: all */
    struct i4q_arena scratch;                /* for one weight */
    struct i4q_table spreads;                /* see nbits_expand.h */
    size_t bytes;                            /* of all floats so far */
    struct i4q_restoration *result;
    struct fate **fates; /* by the index of the value; NULL: nothing becomes of it */
    struct i4q_error *error;
};

static struct fate *fate_of(struct restorer *restorer, const struct i4q_value *value)
{
    struct fate **fate = &restorer->fates[value->index];
    if (!*fate)
        *fate = i4q_arena_alloc(&restorer->model->arena, 1, sizeof **fate);
    if (!*fate)
        i4q_fail_memory(restorer->error);
    return *fate;
}

static bool goes(const struct restorer *restorer, const struct i4q_value *value)
{
    const struct fate *fate = restorer->fates[value->index];
    return fate && fate->goes;
}

/* ---- floats */

static void fill(const struct i4q_stored *stored, const struct i4q_kernels *kernels, uint8_t *data)
{
    for (size_t start = 0; start < stored->codes.count; start += TILE) {
        float tile[TILE];
        size_t n = stored->codes.count - start < TILE ? stored->codes.count - start : TILE;
        i4q_stored_decode(stored, kernels, start, n, tile);
        for (size_t i = 0; i < n; i++)
            i4q_real_store(data, stored->half, start + i, tile[i]);
    }
}

/* Whether all that decoding takes is known. */
static bool is_known(const struct i4q_storage *storage, const struct i4q_stored *stored)
{
    if (stored->origin)
        return stored->codes.type;
    return stored->codes.type && stored->scale.type && storage->dims &&
           stored->codes.count == storage->count &&
           (stored->half || storage->widened || stored->scale.type->type == I4Q_TYPE(FLOAT)) &&
           (!storage->zero_point || stored->zero_point.type);
}

static bool take_room(struct restorer *restorer, size_t bytes)
{
    size_t model = i4q_model_bytes(restorer->model), limit;
    if (!i4q_mul_size(model, RESTORED_RATIO, &limit) || !i4q_add_size(limit, RESTORED_ROOM, &limit))
        limit = SIZE_MAX;
    if (!i4q_add_size(restorer->bytes, bytes, &restorer->bytes) || restorer->bytes > limit)
        return i4q_fail(restorer->error, I4Q_MODEL,
                        "its weights as floats take more than %d bytes for each of its %zu", RESTORED_RATIO,
                        model);
    return true;
}

const struct i4q_value *i4q_restored_value(const struct i4q_conv *conv)
{
    return conv->origin && conv->origin->dialect != I4Q_DIALECT_INT8 ? conv->origin->value : conv->weight;
}

static Onnx__TensorProto *make_floats(struct restorer *restorer, const struct i4q_conv *conv,
                                      const struct i4q_storage *storage, const struct i4q_stored *stored)
{
    size_t bytes = storage->count * i4q_real_size(stored->half);
    if (!take_room(restorer, bytes))
        return NULL;
    Onnx__TensorProto *tensor = i4q_edit_blank_tensor(restorer->model, i4q_restored_value(conv)->name,
                                                      stored->half ? I4Q_TYPE(FLOAT16) : I4Q_TYPE(FLOAT),
                                                      storage->dims, storage->rank, bytes);
    if (tensor) {
        fill(stored, restorer->kernels, tensor->raw_data.data);
        i4q_edit_take_place(tensor, storage->codes);
    } else {
        i4q_fail_memory(restorer->error);
    }
    return tensor;
}

/* Codes that were a stream, as the file has them. */
static void recall_stream(const struct restorer *restorer, struct i4q_storage *storage)
{
    const char *name = storage->codes ? i4q_text(storage->codes->name) : "";
    const struct i4q_nbits_spread *spread = i4q_table_get(&restorer->spreads, name);
    if (spread && spread->tensor == storage->codes) {
        storage->name = spread->format->name;
        storage->spread_bits = spread->format->bits;
    }
}

/* The initializer that the weight becomes; NULL with no error: it cannot be read. */
static Onnx__TensorProto *decode(struct restorer *restorer, const struct i4q_conv *conv,
                                 struct i4q_storage *storage)
{
    struct i4q_stored stored = {0};
    i4q_storage_describe(&restorer->model->arena, conv, storage);
    recall_stream(restorer, storage);
    bool integers = storage->origin ? storage->origin->dialect != I4Q_DIALECT_FINN : !storage->is_float;
    bool sound = integers && i4q_stored_open(&restorer->scratch, storage, &stored, restorer->error) &&
                 i4q_stored_check(storage, &stored, restorer->error);
    const struct i4q_restore_choice *choice = restorer->choice;
    bool chosen = sound && is_known(storage, &stored) &&
                  (!choice || choice->take(choice->context, conv, storage, &stored));
    stored.half &= !choice || !choice->widen;
    Onnx__TensorProto *tensor = chosen ? make_floats(restorer, conv, storage, &stored) : NULL;
    i4q_arena_free(&restorer->scratch);
    return tensor;
}

/* ---- what goes */

static bool is_read(const struct restorer *restorer, const struct i4q_use *use)
{
    const Onnx__NodeProto *node = use->node->proto;
    const struct i4q_value *output =
        node->n_output ? i4q_scope_resolve(use->node->scope, node->output[0]) : NULL;
    return !output || !goes(restorer, output);
}

/* What goes never comes back, so each use is passed once, however many nodes share the value. */
static bool is_unread(const struct restorer *restorer, const struct i4q_value *value, struct fate *fate)
{
    const struct i4q_use *use = fate->use ? fate->use : value->uses;
    while (use->next && !is_read(restorer, use))
        use = use->next;
    fate->use = use;
    return !is_read(restorer, use) && !value->is_output && (!value->is_input || fate->listed);
}

/* Values that only decoded the weight go with it, back to the initializers. */
static bool drop_unread(struct restorer *restorer, const struct i4q_node *node, int depth)
{
    for (size_t i = 0; i < node->proto->n_input && depth < MAX_DEPTH; i++) {
        struct i4q_value *value = i4q_input_value(node, i);
        struct fate *fate = value ? fate_of(restorer, value) : NULL;
        if (value && !fate)
            return false;
        if (!value || fate->goes || !is_unread(restorer, value, fate))
            continue;
        fate->goes = true;
        if (value->producer && !drop_unread(restorer, value->producer, depth + 1))
            return false;
    }
    return true;
}

/* The codes leave their place to the weight. */
static bool take_place(struct restorer *restorer, const struct i4q_conv *conv,
                       const struct i4q_storage *storage, Onnx__TensorProto *tensor)
{
    const struct i4q_value *weight = i4q_restored_value(conv);
    struct i4q_value *codes = i4q_scope_resolve(weight->scope, i4q_text(storage->codes->name));
    bool movable = codes && codes->initializer == storage->codes && codes->scope == weight->scope &&
                   goes(restorer, codes);
    struct fate *fate = fate_of(restorer, movable ? codes : weight);
    if (fate)
        fate->restored = tensor;
    return fate != NULL;
}

struct i4q_restored i4q_restored_of(const struct i4q_conv *conv, const struct i4q_storage *storage)
{
    const struct i4q_origin *origin = storage->origin;
    return (struct i4q_restored){i4q_node_label(conv->node->proto), i4q_restored_value(conv)->name,
                                 origin ? i4q_dialects[origin->dialect].label : storage->name,
                                 storage->count};
}

static bool restore_weight(struct restorer *restorer, const struct i4q_conv *conv)
{
    struct i4q_storage storage;
    const struct i4q_value *weight = i4q_restored_value(conv);
    struct fate *fate = fate_of(restorer, weight);
    if (!fate || fate->goes || fate->left) /* done for another Conv */
        return fate != NULL;
    Onnx__TensorProto *tensor = decode(restorer, conv, &storage);
    fate->left = !tensor;
    if (!tensor)
        return restorer->error->code == I4Q_OK;
    fate->goes = true;
    struct fate *elements = storage.origin ? fate_of(restorer, storage.origin->stored) : fate;
    if (!elements)
        return false;
    elements->listed = storage.origin;
    restorer->result->weights[restorer->result->n_weights++] = i4q_restored_of(conv, &storage);
    return drop_unread(restorer, weight->producer, 0) && take_place(restorer, conv, &storage, tensor);
}

/* ---- graphs */

static const struct fate *fate_at(const struct restorer *restorer, const struct i4q_scope *scope,
                                  const char *name)
{
    const struct i4q_value *value = i4q_table_get(&scope->values, name);
    return value ? restorer->fates[value->index] : NULL;
}

static bool rebuild_initializers(const struct restorer *restorer, struct i4q_scope *scope)
{
    struct i4q_arena *arena = &restorer->model->arena;
    Onnx__GraphProto *graph = scope->graph;
    struct i4q_list list = {0};
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const struct fate *fate = fate_at(restorer, scope, i4q_text(graph->initializer[i]->name));
        Onnx__TensorProto *tensor = fate && fate->goes ? fate->restored : graph->initializer[i];
        if (tensor && !i4q_list_add(arena, &list, tensor))
            return false;
    }
    /* Codes that were no initializer of this graph left no place. */
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        const struct fate *fate = node->n_output ? fate_at(restorer, scope, node->output[0]) : NULL;
        if (fate && fate->goes && fate->restored && !i4q_list_add(arena, &list, fate->restored))
            return false;
    }
    graph->initializer = (Onnx__TensorProto **)list.items;
    graph->n_initializer = list.count;
    return true;
}

static void drop_inputs(const struct restorer *restorer, struct i4q_scope *scope)
{
    Onnx__GraphProto *graph = scope->graph;
    size_t kept = 0;
    for (size_t i = 0; i < graph->n_input; i++) {
        const struct fate *fate = fate_at(restorer, scope, i4q_text(graph->input[i]->name));
        if (!fate || !fate->goes)
            graph->input[kept++] = graph->input[i];
    }
    graph->n_input = kept;
}

static void drop_nodes(const struct restorer *restorer, struct i4q_scope *scope)
{
    Onnx__GraphProto *graph = scope->graph;
    size_t kept = 0;
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        const struct fate *fate = node->n_output ? fate_at(restorer, scope, node->output[0]) : NULL;
        if (!fate || !fate->goes)
            graph->node[kept++] = node;
    }
    graph->n_node = kept;
}

bool i4q_restore(struct i4q_model *model, const struct i4q_kernels *kernels,
                 const struct i4q_restore_choice *choice, struct i4q_restoration *restoration,
                 struct i4q_error *error)
{
    struct i4q_conv *convs;
    size_t count;
    struct restorer restorer = {
        .model = model, .kernels = kernels, .choice = choice, .result = restoration, .error = error};
    i4q_arena_init(&restorer.scratch, model->arena.limit);
    *restoration = (struct i4q_restoration){0};
    i4q_table_init(&restorer.spreads, &model->arena);
    if (!i4q_input_ranges_split(model, error) || !i4q_nbits_expand(model, &restorer.spreads, error) ||
        !i4q_convs_find(model, 0, i4q_ops_all(), &convs, &count, error))
        return false;
    restoration->weights = i4q_arena_alloc(&model->arena, count, sizeof *restoration->weights);
    restorer.fates = i4q_arena_alloc(&model->arena, model->graph.n_values, sizeof *restorer.fates);
    if (!restoration->weights || !restorer.fates)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < count; i++)
        if (i4q_restored_value(&convs[i])->scope->graph && !restore_weight(&restorer, &convs[i]))
            return false;
    for (struct i4q_scope *scope = model->graph.scopes; scope; scope = scope->next) {
        if (!scope->graph)
            continue;
        if (!rebuild_initializers(&restorer, scope))
            return i4q_fail_memory(error);
        drop_inputs(&restorer, scope);
        drop_nodes(&restorer, scope);
    }
    if (!i4q_model_index(model, error))
        return false;
    for (const struct i4q_form *const *form = i4q_forms; *form; form++)
        if ((*form)->domain)
            i4q_prune_import(model, (*form)->domain);
    for (const char *const *domain = i4q_quant_domains; *domain; domain++)
        i4q_prune_import(model, *domain);
    return true;
}

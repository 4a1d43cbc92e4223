// SPDX-License-Identifier: Apache-2.0
#include "inspect/comparison.h"

#include "forms/convs.h"
#include "forms/forms.h"
#include "forms/nbits_node.h"
#include "forms/reader.h"
#include "inspect/factors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = I4Q_RUN };

struct comparer {
    struct i4q_inspection *inspection;
    struct i4q_arena *arena;  /* of the inspected model */
    struct i4q_arena scratch; /* for one weight: many may read the same codes */
    struct i4q_model *reference;
    const struct i4q_kernels *kernels;
    struct i4q_table biases;  /* names of values that our Convs add */
    struct i4q_table weights; /* names of values that are weights, or are read by their decoders only */
    const struct i4q_factors *const *factors;
    size_t n_scaled; /* Convs whose weights hold such as cannot be told */
    struct i4q_error *error;
};

/* What happened to one of the inspected model, and to many. */
static const struct verb {
    const char *one, *many;
} changed = {"changed", "changed"}, is_new = {"is new", "are new"}, is_gone = {"is gone", "are gone"};

/* `kind`: the words for many such differences; NULL: there is no memory. */
static bool difference(struct comparer *comparer, const char *kind, const char *format, ...) I4Q_PRINTF(3, 4);

static bool difference(struct comparer *comparer, const char *kind, const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const char *text = i4q_arena_format(comparer->arena, "%s", what);
    return (kind && text &&
            i4q_differences_add(&comparer->inspection->differences, comparer->arena, kind, text)) ||
           i4q_fail_memory(comparer->error);
}

/* ---- weights */

static void measure(const struct comparer *comparer, const struct i4q_stored *ours,
                    const struct i4q_undoing *undoing, const struct i4q_stored *theirs,
                    struct i4q_inspected *row)
{
    struct i4q_error_sums sums = {0};
    for (size_t start = 0; start < ours->codes.count; start += TILE) {
        float decoded[TILE], weights[TILE];
        size_t n = ours->codes.count - start < TILE ? ours->codes.count - start : TILE;
        i4q_stored_decode(ours, comparer->kernels, start, n, decoded);
        i4q_undo_factors(undoing, start, n, decoded);
        i4q_stored_decode(theirs, comparer->kernels, start, n, weights);
        float largest = fmaxf(comparer->kernels->absmax(weights, n), comparer->kernels->absmax(decoded, n));
        comparer->kernels->measure(weights, decoded, n, i4q_error_unit(largest), &sums);
    }
    row->max_error = sums.max_error;
    row->sqnr_db = i4q_error_sqnr(&sums);
}

static bool has_shape(const struct i4q_storage *storage)
{
    return storage->rank || storage->count; /* a scalar has one element */
}

static bool same_shape(const struct i4q_storage *a, const struct i4q_storage *b)
{
    return a->rank == b->rank && (!a->rank || memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) == 0);
}

/* Whether both sides could be read: what is not sound is told elsewhere. */
static bool measure_stored(struct comparer *comparer, const struct i4q_storage *storage,
                           const struct i4q_undoing *undoing, struct i4q_inspected *row)
{
    struct i4q_stored ours, theirs;
    struct i4q_error ignored = {0};
    bool ok = i4q_stored_open(&comparer->scratch, &row->storage, &ours, &ignored) &&
              i4q_stored_open(&comparer->scratch, storage, &theirs, &ignored) && ours.codes.type &&
              theirs.codes.type && ours.codes.count == theirs.codes.count;
    if (ok)
        measure(comparer, &ours, undoing, &theirs, row);
    i4q_arena_free(&comparer->scratch);
    return ok;
}

static bool compare_weight(struct comparer *comparer, struct i4q_inspected *row, const struct i4q_conv *conv)
{
    struct i4q_storage storage;
    struct i4q_undoing undoing;
    const char *label = i4q_node_label(conv->node->proto);
    const struct i4q_factors *factors = i4q_factors_of(comparer->factors, row->conv);
    bool same = factors == i4q_factors_of(comparer->factors, row->first->conv);
    if (same && row->first->compared == conv->weight) { /* for another Conv */
        row->compared = row->first->compared;
        row->sqnr_db = row->first->sqnr_db;
        row->max_error = row->first->max_error;
        return true;
    }
    i4q_storage_describe(&comparer->reference->arena, conv, &storage);
    if (!has_shape(&row->storage) || !has_shape(&storage))
        return true;
    if (!same_shape(&row->storage, &storage))
        return difference(comparer, "weights have another shape", "node '%s': its weight has another shape",
                          label);
    if (!i4q_undoing_open(factors, row->conv, &row->storage, &undoing))
        comparer->n_scaled++;
    else if (measure_stored(comparer, &storage, &undoing, row))
        row->compared = conv->weight;
    return true;
}

/* The two sides of the comparison, as marks in the table of weights. */
enum side { OURS = 1, THEIRS = 2 };

static bool mark_value(struct comparer *comparer, enum side side, const struct i4q_scope *scope,
                       const char *name, int depth)
{
    enum { MAX_DEPTH = 32 };
    const struct i4q_value *value = i4q_scope_resolve(scope, name);
    void **marked = value ? i4q_table_at(&comparer->weights, value->name) : NULL;
    if (!value || depth > MAX_DEPTH)
        return true;
    if (!marked)
        return i4q_fail_memory(comparer->error);
    bool known = (uintptr_t)*marked & side;
    *marked = (void *)((uintptr_t)*marked | side);
    const Onnx__NodeProto *node = value->producer ? value->producer->proto : NULL;
    for (size_t i = 0; node && !known && i < node->n_input; i++)
        if (!mark_value(comparer, side, value->producer->scope, node->input[i], depth + 1))
            return false;
    return true;
}

/* Everything from which a weight is decoded counts as the weight. */
static bool mark_weight(struct comparer *comparer, enum side side, const struct i4q_conv *conv)
{
    bool stored = conv->source == I4Q_SOURCE_STORED || conv->source == I4Q_SOURCE_DECODED || conv->origin;
    return !stored || mark_value(comparer, side, conv->node->scope, conv->weight->name, 0);
}

/* A Conv of the reference. Names of nodes need not differ: those of one name and operator belong to ours in
 * file order. */
struct counterpart {
    const struct i4q_conv *conv;
    struct counterpart *next;
};

/* The first of the counterparts that a Conv may have; NULL when memory runs out. */
static void **find_counterparts(struct comparer *comparer, struct i4q_table *table,
                                const struct i4q_conv *conv)
{
    const Onnx__NodeProto *node = conv->node->proto;
    const char *op = i4q_nbits_is(node) ? "Conv" : conv->op->op_type;
    const char *key = i4q_arena_format(comparer->arena, "%s %s", op, i4q_node_label(node));
    return key ? i4q_table_at(table, key) : NULL;
}

/* Finds what the reference has, by name. */
static bool index_reference(struct comparer *comparer, struct i4q_table *by_name)
{
    struct i4q_conv *convs;
    size_t count;
    i4q_table_init(by_name, comparer->arena);
    if (!i4q_convs_find(comparer->reference, i4q_ops_all(), 0, &convs, &count, comparer->error))
        return false;
    struct counterpart *counterparts = i4q_arena_alloc(comparer->arena, count, sizeof *counterparts);
    for (size_t i = count; i-- > 0;) {
        void **slot = find_counterparts(comparer, by_name, &convs[i]);
        if (!counterparts || !slot || !mark_weight(comparer, THEIRS, &convs[i]))
            return i4q_fail_memory(comparer->error);
        counterparts[i] = (struct counterpart){&convs[i], *slot};
        *slot = &counterparts[i];
    }
    return true;
}

/* ---- Convs that are one node with their activation */

/* Of this value nothing more is to be said. */
static bool explain(struct comparer *comparer, const char *name)
{
    void **slot = i4q_table_at(&comparer->weights, name);
    if (slot)
        *slot = (void *)(uintptr_t)(OURS | THEIRS);
    return slot || i4q_fail_memory(comparer->error);
}

/* The outputs of a node that went into another, and the constants and copies that it reads. */
static bool explain_node(struct comparer *comparer, const struct i4q_node *node)
{
    for (size_t i = 0; i < node->proto->n_output; i++)
        if (!explain(comparer, node->proto->output[i]))
            return false;
    for (size_t i = 1; i < node->proto->n_input; i++) {
        const struct i4q_value *value = i4q_input_value(node, i);
        bool copy = value && value->producer && i4q_node_is(value->producer->proto, "Identity");
        bool constant = value && value->producer && i4q_node_is(value->producer->proto, "Constant");
        bool bound = value && value->initializer && !i4q_node_is(node->proto, "Conv");
        if ((copy || constant || bound) && !explain(comparer, value->name))
            return false;
    }
    return true;
}

static bool same_fusion(const struct i4q_fusion *a, const struct i4q_fusion *b)
{
    return a->dimensions == b->dimensions && memcmp(a->strides, b->strides, sizeof a->strides) == 0 &&
           memcmp(a->dilations, b->dilations, sizeof a->dilations) == 0 &&
           memcmp(a->pads, b->pads, sizeof a->pads) == 0 && a->group == b->group &&
           a->activation == b->activation && a->alpha == b->alpha && a->beta == b->beta &&
           strcmp(a->output, b->output) == 0 &&
           strcmp(a->conv->proto->input[0], b->conv->proto->input[0]) == 0;
}

static bool compare_fusion(struct comparer *comparer, const struct i4q_inspected *row,
                           const struct i4q_conv *conv)
{
    const struct i4q_storage *storage = &row->storage;
    const Onnx__NodeProto *node = row->conv->node->proto;
    struct i4q_fusion ours, theirs;
    if (!i4q_nbits_is(node))
        return true;
    for (size_t i = I4Q_NBITS_CODES; i < I4Q_NBITS_BIAS && i < node->n_input; i++)
        if (!explain(comparer, node->input[i]))
            return false;
    if (!has_shape(storage) || !i4q_nbits_read(row->conv->node, &ours) ||
        !i4q_fusion_find(conv->node, storage->dims, storage->rank, &theirs) || !same_fusion(&ours, &theirs))
        return difference(comparer, "nodes compute other than their Conv and the activation behind it",
                          "node '%s' computes other than its Conv and the activation behind it",
                          i4q_node_label(node));
    for (size_t i = 0; i < theirs.n_absorbed; i++)
        if (!explain_node(comparer, theirs.absorbed[i]))
            return false;
    return explain_node(comparer, conv->node) && explain(comparer, ours.output);
}

static bool compare_weights(struct comparer *comparer)
{
    struct i4q_table by_name;
    if (!index_reference(comparer, &by_name))
        return false;
    for (size_t i = 0; i < comparer->inspection->n_rows; i++) {
        struct i4q_inspected *row = &comparer->inspection->rows[i];
        void **slot = find_counterparts(comparer, &by_name, row->conv);
        if (!slot || !mark_weight(comparer, OURS, row->conv))
            return i4q_fail_memory(comparer->error);
        const struct counterpart *other = *slot;
        if (!other || !*i4q_node_label(row->conv->node->proto)) /* without a name, and without outputs */
            continue;
        *slot = other->next;
        if (!compare_weight(comparer, row, other->conv) || !compare_fusion(comparer, row, other->conv))
            return false;
    }
    return !comparer->n_scaled ||
           difference(
               comparer, "weights hold factors",
               "the weights of %zu Convs hold factors of the channels that they read, which cannot be told: "
               "their SQNR is not known",
               comparer->n_scaled);
}

/* ---- everything else */

/* In which field elements are stored, and in which file, makes no difference: all of them become raw_data.
 * Payloads that do not fit their shape stay where they are. */
static bool make_raw(void *context, Onnx__TensorProto *tensor)
{
    struct comparer *comparer = context;
    struct i4q_view payload;
    struct i4q_error found = {0};
    tensor->has_data_location = false;
    tensor->n_external_data = 0;
    if (!i4q_tensor_payload(comparer->arena, tensor, &payload, &found))
        return found.code == I4Q_MODEL || i4q_fail_memory(comparer->error);
    tensor->n_float_data = tensor->n_int32_data = tensor->n_int64_data = tensor->n_double_data = 0;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){payload.size, (uint8_t *)payload.data};
    return true;
}

/* False: memory has run out. */
static bool compare_messages(struct comparer *comparer, const ProtobufCMessage *a, const ProtobufCMessage *b,
                             bool *equal)
{
    size_t size = protobuf_c_message_get_packed_size(a);
    *equal = size == protobuf_c_message_get_packed_size(b);
    if (!*equal)
        return true;
    uint8_t *x = malloc(size + 1), *y = malloc(size + 1);
    bool ok = x && y;
    *equal = ok && protobuf_c_message_pack(a, x) == size && protobuf_c_message_pack(b, y) == size &&
             memcmp(x, y, size) == 0;
    free(x);
    free(y);
    return ok || i4q_fail_memory(comparer->error);
}

/* Payloads are compared where they lie, and not packed. */
static bool compare_tensors(struct comparer *comparer, const Onnx__TensorProto *a, const Onnx__TensorProto *b,
                            bool *equal)
{
    Onnx__TensorProto x = *a, y = *b;
    *equal = x.has_raw_data == y.has_raw_data && x.raw_data.len == y.raw_data.len;
    if (*equal && x.has_raw_data) {
        *equal = !x.raw_data.len || memcmp(x.raw_data.data, y.raw_data.data, x.raw_data.len) == 0;
        x.raw_data.len = y.raw_data.len = 0;
    }
    return !*equal || compare_messages(comparer, &x.base, &y.base, equal);
}

static bool is_weight(const struct comparer *comparer, const char *name)
{
    return i4q_table_get(&comparer->weights, name) != NULL;
}

/* What a node is known by: its first output that has a name; those left out have none. */
static const char *first_output(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_output; i++)
        if (*node->output[i])
            return node->output[i];
    return "";
}

static bool node_differs(struct comparer *comparer, const Onnx__NodeProto *node, const struct verb *verb)
{
    const char *op = i4q_text(node->op_type);
    return difference(comparer, i4q_arena_format(comparer->arena, "nodes (%s) %s", op, verb->many),
                      "node '%s' (%s) %s", i4q_node_label(node), op, verb->one);
}

/* The values of `ours` that `theirs` has not, or has otherwise made; the other way round only what is
 * missing. Nodes without outputs do nothing. */
static bool compare_nodes(struct comparer *comparer, const struct i4q_model *ours,
                          const struct i4q_model *theirs, const struct verb *missing, bool changes)
{
    for (const struct i4q_node *node = ours->graph.nodes; node; node = node->next) {
        const char *output = first_output(node->proto);
        const struct i4q_value *other = i4q_scope_resolve(theirs->graph.scopes, output);
        if (node->scope != ours->graph.scopes || !*output || is_weight(comparer, output))
            continue;
        bool present = other && other->producer, equal = true;
        if (present && changes &&
            !compare_messages(comparer, &node->proto->base, &other->producer->proto->base, &equal))
            return false;
        if ((!present || !equal) && !node_differs(comparer, node->proto, present ? &changed : missing))
            return false;
    }
    return true;
}

static bool index_biases(struct comparer *comparer)
{
    i4q_table_init(&comparer->biases, comparer->arena);
    for (size_t i = 0; i < comparer->inspection->n_rows; i++) {
        const Onnx__NodeProto *node = comparer->inspection->rows[i].conv->node->proto;
        size_t input = i4q_nbits_is(node) ? I4Q_NBITS_BIAS : 2;
        void **slot = input < node->n_input ? i4q_table_at(&comparer->biases, node->input[input]) : NULL;
        if (input < node->n_input && !slot)
            return i4q_fail_memory(comparer->error);
        if (slot)
            *slot = comparer;
    }
    return true;
}

static bool compare_initializers(struct comparer *comparer, const struct i4q_model *ours,
                                 const struct i4q_model *theirs, const struct verb *missing, bool changes)
{
    const Onnx__GraphProto *graph = ours->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const char *name = i4q_text(graph->initializer[i]->name);
        const struct i4q_value *other = i4q_table_get(&theirs->graph.scopes->values, name);
        if (is_weight(comparer, name))
            continue;
        bool present = other && other->initializer, equal = true;
        if (present && changes &&
            !compare_tensors(comparer, graph->initializer[i], other->initializer, &equal))
            return false;
        if (present && equal)
            continue;
        const struct verb *verb = present ? &changed : missing;
        bool bias = i4q_table_get(&comparer->biases, name) != NULL;
        if (!difference(comparer,
                        i4q_arena_format(comparer->arena, "%s %s", bias ? "biases of Convs" : "initializers",
                                         verb->many),
                        "initializer '%s' %s", name, verb->one))
            return false;
    }
    return true;
}

static bool compare_inputs(struct comparer *comparer, const struct i4q_model *ours,
                           const struct i4q_model *theirs)
{
    const Onnx__GraphProto *graph = theirs->proto->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        const struct i4q_value *value =
            i4q_table_get(&ours->graph.scopes->values, i4q_text(graph->input[i]->name));
        if ((!value || !value->is_input) &&
            !difference(comparer, "inputs are gone", "input '%s' is gone", i4q_text(graph->input[i]->name)))
            return false;
    }
    return true;
}

static bool compare_versions(struct comparer *comparer, const struct i4q_model *ours,
                             const struct i4q_model *theirs)
{
    int64_t a = theirs->proto->ir_version, b = ours->proto->ir_version;
    if (a != b && !difference(comparer, "ir_version", "ir_version %" PRId64 " -> %" PRId64, a, b))
        return false;
    a = i4q_opset_version(theirs->proto->opset_import, theirs->proto->n_opset_import);
    b = comparer->inspection->opset;
    return a == b || difference(comparer, "opset", "opset %" PRId64 " -> %" PRId64, a, b);
}

bool i4q_compare(struct i4q_inspection *inspection, struct i4q_model *reference,
                 const struct i4q_kernels *kernels, struct i4q_error *error)
{
    struct i4q_model *model = inspection->model;
    struct comparer comparer = {.inspection = inspection,
                                .arena = &model->arena,
                                .reference = reference,
                                .kernels = kernels,
                                .factors = i4q_factors_find(inspection, reference),
                                .error = error};
    if (!comparer.factors)
        return i4q_fail_memory(error);
    i4q_arena_init(&comparer.scratch, model->arena.limit);
    i4q_table_init(&comparer.weights, &model->arena);
    i4q_differences_begin(&inspection->differences, &model->arena);
    return compare_weights(&comparer) && index_biases(&comparer) &&
           i4q_model_each_tensor(model, make_raw, &comparer) &&
           i4q_model_each_tensor(reference, make_raw, &comparer) &&
           compare_versions(&comparer, model, reference) && compare_inputs(&comparer, model, reference) &&
           compare_initializers(&comparer, model, reference, &is_new, true) &&
           compare_initializers(&comparer, reference, model, &is_gone, false) &&
           compare_nodes(&comparer, model, reference, &is_new, true) &&
           compare_nodes(&comparer, reference, model, &is_gone, false);
}

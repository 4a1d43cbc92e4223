// SPDX-License-Identifier: Apache-2.0
#include "inspect/inspection.h"

#include "forms/convs.h"
#include "forms/forms.h"
#include "forms/origin.h"
#include "forms/reader.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { TILE = 4096 }; /* codes looked at together; even */

static const char KIND_FLOAT[] = "float", KIND_FAKE[] = "fake", KIND_OTHER[] = "other";

struct inspector {
    struct i4q_model *model;
    const struct i4q_kernels *kernels;
    bool statistics;
    struct i4q_table firsts;  /* the last row of a new storage, by the name of its codes */
    struct i4q_arena scratch; /* for one row: many may read the same codes */
    bool *seen;               /* weights that have been counted, by the index of their value */
    struct i4q_inspection *result;
    struct i4q_error *error;
};

static const char *name_of(enum i4q_zero_point zero_point)
{
    static const char *const names[] = {
        [I4Q_ZERO_NONE] = "none", [I4Q_ZERO_SYMMETRIC] = "zero", [I4Q_ZERO_ASYMMETRIC] = "asymmetric"};
    return names[zero_point];
}

static bool problem(struct inspector *inspector, const struct i4q_node *node, const char *what)
{
    char *text =
        i4q_arena_format(&inspector->model->arena, "node '%s': %s", i4q_node_label(node->proto), what);
    return (text && i4q_patterns_add(&inspector->model->arena, &inspector->result->problems, text)) ||
           i4q_fail_memory(inspector->error);
}

/* ---- scales and zero points */

static void find_scale_range(struct i4q_inspected *row, const struct i4q_stored *stored)
{
    for (size_t i = 0; stored->scale.type && i < stored->scale.count; i++) {
        double scale = i4q_number(&stored->scale, i);
        row->scale_min = fmin(row->scale_min, scale);
        row->scale_max = fmax(row->scale_max, scale);
    }
}

static void classify_zero_point(struct i4q_inspected *row, const struct i4q_stored *stored)
{
    const struct i4q_numbers *zero = &stored->zero_point;
    if (!row->storage.zero_point)
        return;
    row->zero_point = I4Q_ZERO_SYMMETRIC;
    bool centred = !stored->origin && !i4q_numbers_are_floats(&stored->codes);
    int centre = centred ? i4q_numbers_centre(&stored->codes) : 0;
    for (size_t i = 0; zero->type && i < zero->count; i++)
        if (i4q_number(zero, i) != centre)
            row->zero_point = I4Q_ZERO_ASYMMETRIC;
}

/* ---- opset */

/* From which opset on DequantizeLinear takes a type, as codes or as scale. */
static int64_t since(const Onnx__TensorProto *tensor)
{
    const struct i4q_dtype *dtype = tensor ? i4q_dtype_find(tensor->data_type) : NULL;
    return dtype && dtype->dequantize ? dtype->dequantize : 10;
}

/* Some tools write a DequantizeLinear that its model's opset does not have yet. Readers refuse it. */
static bool check_opset(struct inspector *inspector, const struct i4q_inspected *row)
{
    const struct i4q_node *decoder = row->conv->decoder;
    if (!decoder || !i4q_node_is(decoder->proto, "DequantizeLinear"))
        return true;
    int64_t has = i4q_scope_opset(inspector->model, decoder->scope), needs = since(row->storage.codes);
    if (needs < since(row->storage.scale))
        needs = since(row->storage.scale);
    if (needs < 13 && i4q_node_attribute(decoder->proto, "axis"))
        needs = 13;
    if (needs < 21 && i4q_node_attribute(decoder->proto, "block_size"))
        needs = 21;
    if (has >= needs)
        return true;
    const char *text =
        i4q_arena_format(&inspector->model->arena,
                         "its DequantizeLinear needs opset %" PRId64 ", the model has %" PRId64, needs, has);
    return text ? problem(inspector, row->conv->node, text) : i4q_fail_memory(inspector->error);
}

/* ---- codes */

/* Where the channels of the weight are among its codes. Blocks and scattered layouts are those of the codes
 * too. */
struct layout {
    size_t channels, inner;
};

static struct layout find_layout(const struct i4q_inspected *row)
{
    const struct i4q_storage *storage = &row->storage;
    size_t axis = row->conv->channel_axis;
    struct layout layout = {0, 1};
    if (!storage->dims || axis >= storage->rank || !storage->count)
        return layout;
    layout.channels = (size_t)storage->dims[axis];
    for (size_t i = axis + 1; i < storage->rank; i++)
        layout.inner *= (size_t)storage->dims[i];
    return layout;
}

/* Marks the channels in which some code does not stand for 0. */
static void mark_used(const struct i4q_inspected *row, const struct i4q_stored *stored, struct layout layout,
                      bool *used, const int16_t *codes, size_t start, size_t n)
{
    int centre = row->zero_point == I4Q_ZERO_NONE || stored->origin ? 0 : i4q_numbers_centre(&stored->codes);
    for (size_t i = 0, run; i < n; i += run) {
        bool *mark = &used[(start + i) / layout.inner % layout.channels];
        run = layout.inner - (start + i) % layout.inner;
        run = run < n - i ? run : n - i;
        for (size_t k = i; k < i + run && !*mark; k++)
            *mark = row->zero_point == I4Q_ZERO_ASYMMETRIC ? codes[k] != i4q_stored_zero(stored, start + k)
                                                           : codes[k] != centre;
    }
}

static void count_codes(struct i4q_inspected *row, const struct i4q_stored *stored, const int16_t *codes,
                        size_t n)
{
    int lowest = i4q_numbers_lowest(&stored->codes);
    for (size_t i = 0; i < n; i++)
        row->histogram[codes[i] - lowest]++;
}

static bool look_at_codes(struct inspector *inspector, struct i4q_inspected *row,
                          const struct i4q_stored *stored)
{
    struct layout layout = find_layout(row);
    if (!stored->codes.type || i4q_numbers_are_floats(&stored->codes) || !layout.channels ||
        stored->codes.count != row->storage.count)
        return true;
    bool *used = i4q_arena_alloc(&inspector->scratch, layout.channels, sizeof *used);
    if (inspector->statistics && (size_t)1 << stored->codes.bits <= I4Q_HISTOGRAM) {
        row->n_histogram = (size_t)1 << stored->codes.bits;
        row->histogram = i4q_arena_alloc(&inspector->model->arena, row->n_histogram, sizeof *row->histogram);
    }
    if (!used || (row->n_histogram && !row->histogram))
        return i4q_fail_memory(inspector->error);
    for (size_t start = 0; start < stored->codes.count; start += TILE) {
        int16_t codes[TILE];
        size_t n = stored->codes.count - start < TILE ? stored->codes.count - start : TILE;
        i4q_stored_codes(stored, inspector->kernels, start, n, codes);
        mark_used(row, stored, layout, used, codes, start, n);
        if (row->histogram)
            count_codes(row, stored, codes, n);
    }
    row->has_zero_channels = true;
    for (size_t i = 0; i < layout.channels; i++)
        row->zero_channels += !used[i];
    return true;
}

/* ---- all Convs */

const char *i4q_kind_word(size_t index)
{
    static const char *const others[] = {KIND_FLOAT, KIND_FAKE, KIND_OTHER};
    for (const struct i4q_format *format = i4q_formats; format->name; format++)
        if (!format->floats && index-- == 0)
            return format->name;
    return index < sizeof others / sizeof *others ? others[index] : NULL;
}

static const char *kind_of(const struct i4q_storage *storage)
{
    const struct i4q_format *format = i4q_format_find(storage->name);
    if (storage->is_float)
        return storage->origin ? KIND_FAKE : KIND_FLOAT;
    return format ? format->name : KIND_OTHER;
}

size_t i4q_inspection_total(const struct i4q_inspection *inspection, const char *kind)
{
    size_t total = 0;
    for (size_t i = 0; i < inspection->n_rows; i++)
        total += strcmp(kind_of(&inspection->rows[i].storage), kind) == 0;
    return total;
}

double i4q_inspection_bits(const struct i4q_inspection *inspection)
{
    return inspection->integers ? 8 * (double)inspection->integer_bytes / (double)inspection->integers : NAN;
}

static void count_row(struct inspector *inspector, const struct i4q_inspected *row)
{
    bool *seen = &inspector->seen[row->conv->weight->index];
    struct i4q_inspection *result = inspector->result;
    if (!*seen && row->storage.is_float) {
        result->float_bytes += row->storage.bytes;
    } else if (!*seen && row->storage.codes) {
        result->integers += row->storage.count;
        result->integer_bytes += row->storage.bytes;
    }
    *seen = true;
}

/* The error is a flaw of the model; any other is ours. */
static bool find_flaw(struct inspector *inspector, struct i4q_inspected *row, const struct i4q_error *found)
{
    if (found->code == I4Q_MODEL)
        row->flaw = i4q_arena_format(&inspector->model->arena, "%s", found->message);
    return row->flaw || i4q_fail_memory(inspector->error);
}

static bool look_at_stored(struct inspector *inspector, struct i4q_inspected *row)
{
    struct i4q_stored stored;
    struct i4q_error found = {0};
    row->flaw = row->conv->origin ? row->conv->origin->flaw : NULL;
    if (row->flaw)
        return true;
    if (!i4q_stored_open(&inspector->scratch, &row->storage, &stored, &found))
        return find_flaw(inspector, row, &found);
    if (!stored.codes.type)
        return true;
    classify_zero_point(row, &stored);
    find_scale_range(row, &stored);
    return (i4q_stored_check(&row->storage, &stored, &found) || find_flaw(inspector, row, &found)) &&
           look_at_codes(inspector, row, &stored);
}

static bool has_same_storage(const struct i4q_inspected *x, const struct i4q_inspected *y)
{
    const struct i4q_storage *a = &x->storage, *b = &y->storage;
    const struct i4q_value *from = a->origin ? a->origin->value : NULL;
    return x->conv->channel_axis == y->conv->channel_axis && from == (b->origin ? b->origin->value : NULL) &&
           a->codes == b->codes && a->scale == b->scale && a->zero_point == b->zero_point &&
           a->unsound == b->unsound && a->name == b->name && a->is_dequantize == b->is_dequantize &&
           a->axis == b->axis && a->block == b->block && a->rank == b->rank &&
           (!a->rank || memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) == 0);
}

/* Many Convs may share a weight, and many decoders codes: what is stored is looked at once. */
static bool find_first(struct inspector *inspector, struct i4q_inspected *row)
{
    row->first = row;
    if (!row->storage.codes)
        return true;
    void **slot = i4q_table_at(&inspector->firsts, i4q_text(row->storage.codes->name));
    if (!slot)
        return i4q_fail_memory(inspector->error);
    if (*slot && has_same_storage(*slot, row))
        row->first = *slot;
    else
        *slot = row;
    return true;
}

static void copy_figures(struct i4q_inspected *row, const struct i4q_inspected *first)
{
    const struct i4q_conv *conv = row->conv;
    *row = *first;
    row->conv = conv;
}

static bool inspect_row(struct inspector *inspector, const struct i4q_conv *conv, struct i4q_inspected *row)
{
    *row = (struct i4q_inspected){.conv = conv, .scale_min = NAN, .scale_max = NAN};
    i4q_storage_describe(&inspector->model->arena, conv, &row->storage);
    count_row(inspector, row);
    if (!check_opset(inspector, row) || !find_first(inspector, row))
        return false;
    bool ok = row->first != row || look_at_stored(inspector, row);
    i4q_arena_free(&inspector->scratch);
    if (row->first != row)
        copy_figures(row, row->first);
    return ok && (!row->flaw || problem(inspector, row->conv->node, row->flaw));
}

/* ---- activations */

static bool inspect_activations(struct inspector *inspector)
{
    struct i4q_inspection *result = inspector->result;
    if (!i4q_activations_find(inspector->model, &result->activations, &result->n_activations,
                              inspector->error))
        return false;
    for (size_t i = 0; i < result->n_activations; i++) {
        const struct i4q_activation_pair *pair = &result->activations[i];
        if (pair->flaw && !problem(inspector, pair->quantize, pair->flaw))
            return false;
    }
    return true;
}

/* What is wrong with the Quant of a weight is told with its Conv. */
static bool inspect_fakes(struct inspector *inspector)
{
    struct i4q_inspection *result = inspector->result;
    if (!i4q_fakes_find(inspector->model, &result->fakes, &result->n_fakes, inspector->error))
        return false;
    for (size_t i = 0; i < result->n_fakes; i++) {
        const struct i4q_fake *fake = &result->fakes[i];
        bool told = !fake->flaw || !fake->is_activation;
        if (!told && !i4q_patterns_add(&inspector->model->arena, &result->problems, fake->flaw))
            return i4q_fail_memory(inspector->error);
    }
    return true;
}

size_t i4q_inspection_activations(const struct i4q_inspection *inspection, unsigned bits)
{
    size_t total = 0;
    for (size_t i = 0; i < inspection->n_activations; i++)
        total += !bits || inspection->activations[i].bits == bits;
    return total;
}

bool i4q_inspect(struct i4q_model *model, const struct i4q_kernels *kernels, bool statistics,
                 struct i4q_inspection *inspection, struct i4q_error *error)
{
    struct inspector inspector = {
        .model = model, .kernels = kernels, .statistics = statistics, .result = inspection, .error = error};
    i4q_table_init(&inspector.firsts, &model->arena);
    i4q_arena_init(&inspector.scratch, model->arena.limit);
    *inspection = (struct i4q_inspection){
        .model = model, .opset = i4q_opset_version(model->proto->opset_import, model->proto->n_opset_import)};
    if (!i4q_convs_find(model, i4q_ops_conv() | i4q_ops_beside(i4q_ops_conv()), i4q_ops_all(),
                        &inspection->convs, &inspection->n_rows, error))
        return false;
    inspection->rows = i4q_arena_alloc(&model->arena, inspection->n_rows, sizeof *inspection->rows);
    inspector.seen = i4q_arena_alloc(&model->arena, model->graph.n_values, sizeof *inspector.seen);
    if (!inspection->rows || !inspector.seen)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < inspection->n_rows; i++)
        if (!inspect_row(&inspector, &inspection->convs[i], &inspection->rows[i]))
            return false;
    return inspect_activations(&inspector) && inspect_fakes(&inspector);
}

const char *i4q_inspected_zero_point(const struct i4q_inspected *row)
{
    const struct i4q_storage *storage = &row->storage;
    bool unread = storage->zero_point && row->zero_point == I4Q_ZERO_NONE;
    return unread || !(storage->scale || storage->zero_point) ? NULL : name_of(row->zero_point);
}

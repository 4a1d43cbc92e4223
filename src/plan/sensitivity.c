// SPDX-License-Identifier: Apache-2.0
#include "plan/sensitivity.h"

#include "base/json.h"
#include "plan/shapes/shape.h"

#include <stdio.h>
#include <string.h>

/* In the order in which they are tried. */
static const struct i4q_shape *const shapes[] = {
    &i4q_shape_rows, &i4q_shape_recipes, &i4q_shape_exclusion, &i4q_shape_scores, &i4q_shape_records,
};

static const char EXPECTED[] = "expected {\"layer_sensitivity\": [...] or {...}}, {\"excluded_onnx_nodes\" "
                               "or \"excluded_layers\": [...]}, "
                               "{NAME: NUMBER, ...} or [{\"layer\": NAME, \"sensitivity\": X}, ...]";

/* The measurement of all Convs that have one name. */
struct named {
    const struct i4q_name_hit *hits;
    struct i4q_measurement measurement;
    double bits;
    struct named *next;
};

struct reader {
    struct i4q_sink sink; /* first: it is what the shapes know of a reader */
    const struct i4q_name_index *index;
    const void *const *weights;
    struct i4q_sensitivity *result;
    double *bits;             /* of the measurement that each Conv has so far */
    struct i4q_table by_name; /* struct named; the names are borrowed from the document */
    struct named *named;
};

/* ---- entries to Convs */

/* Convs that share a weight are one measurement; a weight that is not known is shared with none. */
static bool is_ambiguous(const struct reader *reader, const struct i4q_name_hit *hit)
{
    const void *weight = reader->weights[hit->conv];
    for (const struct i4q_name_hit *other = hit->next; other; other = other->next)
        if (!weight || reader->weights[other->conv] != weight)
            return true;
    return false;
}

/* The first name of the Conv that tells more than `known` does. */
static const char *conv_name(const struct reader *reader, size_t conv, const char *known)
{
    const char *const *alias = reader->index->names[conv].alias;
    for (int a = 0; a < I4Q_ALIASES; a++)
        if (alias[a] && strcmp(alias[a], known) != 0)
            return alias[a];
    return known;
}

static bool fail_ambiguous(struct reader *reader, const struct i4q_entry *entry,
                           const struct i4q_name_hit *hit)
{
    char list[512] = "";
    size_t length = 0;
    for (; hit && length < sizeof list; hit = hit->next)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s'%s'", length ? ", " : "",
                                   conv_name(reader, hit->conv, entry->name));
    return i4q_fail(reader->sink.error, I4Q_MODEL,
                    "%s: the name fits several Convs with different weights: %s", entry->where, list);
}

/* Of two measurements of one Conv, the one with fewer bits counts; with as many, the worse. */
static bool replaces(const struct i4q_measurement *known, double known_bits,
                     const struct i4q_measurement *other, double bits)
{
    return !known->present || bits < known_bits || (bits == known_bits && other->worse > known->worse);
}

/* A name may come very often, and very many Convs may have it: each goes through the others once. */
static void measure_convs(struct reader *reader)
{
    for (const struct named *named = reader->named; named; named = named->next)
        for (const struct i4q_name_hit *hit = named->hits; hit; hit = hit->next) {
            struct i4q_measurement *known = &reader->result->convs[hit->conv];
            if (!replaces(known, reader->bits[hit->conv], &named->measurement, named->bits))
                continue;
            *known = named->measurement;
            reader->bits[hit->conv] = named->bits;
        }
}

/* What is known of the name; NULL with an error. */
static struct named *find_named(struct reader *reader, const struct i4q_entry *entry,
                                const struct i4q_name_hit *hits)
{
    void **slot = i4q_table_at(&reader->by_name, entry->name);
    struct named *named = slot ? *slot : NULL;
    if (named)
        return named;
    if (is_ambiguous(reader, hits)) {
        fail_ambiguous(reader, entry, hits);
        return NULL;
    }
    named = slot ? i4q_arena_alloc(reader->sink.arena, 1, sizeof *named) : NULL;
    if (!named) {
        i4q_fail_memory(reader->sink.error);
        return NULL;
    }
    *named = (struct named){.hits = hits, .next = reader->named};
    *slot = reader->named = named;
    return named;
}

static bool take(struct i4q_sink *sink, const struct i4q_entry *entry)
{
    struct reader *reader = (struct reader *)sink;
    reader->result->entries++;
    const struct i4q_name_hit *hit = i4q_name_index_find(reader->index, entry->name);
    if (!hit) {
        const char *name = i4q_arena_format(reader->sink.arena, "%s", entry->name);
        return (name && i4q_patterns_add(reader->sink.arena, &reader->result->unmatched, name)) ||
               i4q_fail_memory(reader->sink.error);
    }
    struct named *named = find_named(reader, entry, hit);
    const struct i4q_measurement measurement = {true, entry->score, entry->worse, entry->noise};
    if (named && replaces(&named->measurement, named->bits, &measurement, entry->bits)) {
        named->measurement = measurement;
        named->bits = entry->bits;
    }
    return named != NULL;
}

/* ---- the document */

static const struct i4q_shape *recognise(json_t *root)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i]->recognise(root))
            return shapes[i];
    return NULL;
}

/* A file whose names are all strange belongs to another model. One without entries asks for nothing. */
static bool check_matches(struct reader *reader)
{
    const struct i4q_sensitivity *result = reader->result;
    if (!result->entries || !reader->index->count || result->unmatched.count < result->entries)
        return true;
    return i4q_fail(reader->sink.error, I4Q_MODEL,
                    "none of its %zu entries is a name of the model (it has '%s', the model '%s')",
                    result->entries, result->unmatched.items[0], conv_name(reader, 0, ""));
}

static bool read_document(struct reader *reader, json_t *root)
{
    const struct i4q_shape *shape = recognise(root);
    if (!shape)
        return i4q_fail(reader->sink.error, I4Q_MODEL, "not a sensitivity file: %s", EXPECTED);
    reader->result->scored = shape->scored;
    if (!shape->read(&reader->sink, root))
        return false;
    reader->result->has_k = reader->sink.has_k;
    reader->result->k = reader->sink.k;
    measure_convs(reader);
    return check_matches(reader);
}

bool i4q_sensitivity_read(struct i4q_arena *arena, struct i4q_view json, const struct i4q_name_index *index,
                          const void *const *weights, struct i4q_sensitivity *sensitivity,
                          struct i4q_error *error)
{
    struct reader reader = {.sink = {.arena = arena, .error = error, .take = take},
                            .index = index,
                            .weights = weights,
                            .result = sensitivity};
    i4q_table_init(&reader.by_name, arena);
    *sensitivity = (struct i4q_sensitivity){0};
    sensitivity->convs = i4q_arena_alloc(arena, index->count, sizeof *sensitivity->convs);
    reader.bits = i4q_arena_alloc(arena, index->count, sizeof *reader.bits);
    if (!sensitivity->convs || !reader.bits)
        return i4q_fail_memory(error);
    json_t *root = i4q_json_parse(json, error);
    if (!root)
        return false;
    bool ok = read_document(&reader, root);
    json_decref(root);
    return ok;
}

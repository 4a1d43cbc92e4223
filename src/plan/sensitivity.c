// SPDX-License-Identifier: Apache-2.0
#include "plan/sensitivity.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    FLOAT_BITS = 16, /* a row measured at this many bits or more is no measurement of quantization */
    WHERE = 256,     /* bytes for the place of an entry, terminator included; long names are cut */
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
    struct i4q_arena *arena;
    const struct i4q_name_index *index;
    const void *const *weights;
    struct i4q_sensitivity *result;
    double *bits; /* of the measurement that each Conv has so far */
    struct i4q_error *error;
    struct i4q_table by_name; /* struct named; the names are borrowed from the document */
    struct named *named;
};

/* One measurement as it stands in the file. */
struct entry {
    const char *where; /* how messages call its place, such as layer_sensitivity[3] ('model.0.conv') */
    const char *name;
    double score;
    double worse;
    double bits; /* INFINITY when the file does not tell: any row that does tell counts before it */
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

static bool fail_ambiguous(struct reader *reader, const struct entry *entry, const struct i4q_name_hit *hit)
{
    char list[512] = "";
    size_t length = 0;
    for (; hit && length < sizeof list; hit = hit->next)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s'%s'", length ? ", " : "",
                                   conv_name(reader, hit->conv, entry->name));
    return i4q_fail(reader->error, I4Q_MODEL, "%s: the name fits several Convs with different weights: %s",
                    entry->where, list);
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
static struct named *find_named(struct reader *reader, const struct entry *entry,
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
    named = slot ? i4q_arena_alloc(reader->arena, 1, sizeof *named) : NULL;
    if (!named) {
        i4q_fail_memory(reader->error);
        return NULL;
    }
    *named = (struct named){.hits = hits, .next = reader->named};
    *slot = reader->named = named;
    return named;
}

static bool add(struct reader *reader, const struct entry *entry)
{
    reader->result->entries++;
    const struct i4q_name_hit *hit = i4q_name_index_find(reader->index, entry->name);
    if (!hit) {
        const char *name = i4q_arena_format(reader->arena, "%s", entry->name);
        return (name && i4q_patterns_add(reader->arena, &reader->result->unmatched, name)) ||
               i4q_fail_memory(reader->error);
    }
    struct named *named = find_named(reader, entry, hit);
    const struct i4q_measurement measurement = {true, entry->score, entry->worse};
    if (named && replaces(&named->measurement, named->bits, &measurement, entry->bits)) {
        named->measurement = measurement;
        named->bits = entry->bits;
    }
    return named != NULL;
}

/* ---- values */

/* How messages call element `i` of a list: layer_sensitivity[3] ('model.0.conv'). */
static void write_where(char where[static WHERE], const char *list, size_t i, const json_t *name)
{
    int length = snprintf(where, WHERE, "%s[%zu]", list, i);
    if (json_is_string(name))
        snprintf(where + length, WHERE - (size_t)length, " ('%.200s')", json_string_value(name));
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

static bool wrong(struct reader *reader, const char *where, const char *key, const char *expected,
                  const json_t *value)
{
    return i4q_fail(reader->error, I4Q_MODEL, "%s: %s must be %s, got %s", where, key, expected,
                    type_name(value));
}

/* jansson refuses numbers that binary64 cannot hold, so what it has read is finite. */
static bool read_number(struct reader *reader, const char *where, const char *key, const json_t *value,
                        double *number)
{
    if (!json_is_number(value))
        return wrong(reader, where, key, "a finite number", value);
    *number = json_number_value(value);
    return true;
}

static bool read_name(struct reader *reader, const char *where, const char *key, const json_t *value,
                      const char **name)
{
    *name = json_string_value(value);
    return *name || wrong(reader, where, key, "a string", value);
}

static bool read_k(struct reader *reader, const json_t *root)
{
    const json_t *k = json_object_get(root, "k");
    if (!k || json_is_null(k))
        return true;
    if (!json_is_integer(k))
        return wrong(reader, "\"k\"", "the value", "an integer", k);
    if (json_integer_value(k) < 0)
        return i4q_fail(reader->error, I4Q_MODEL, "\"k\": the value must be at least 0, got %lld",
                        (long long)json_integer_value(k));
    reader->result->has_k = true;
    reader->result->k = (size_t)json_integer_value(k);
    return true;
}

/* ---- shape 1: {"layer_sensitivity": [{"layer": NAME, "sensitivity": X, "num_bits": B}, ...], "k": K} */

static bool is_row_list(json_t *root)
{
    return json_is_array(json_object_get(root, "layer_sensitivity"));
}

static bool read_row(struct reader *reader, size_t i, const json_t *row)
{
    char where[WHERE];
    const json_t *name = json_object_get(row, "layer"), *bits = json_object_get(row, "num_bits");
    write_where(where, "layer_sensitivity", i, name);
    struct entry entry = {.where = where, .bits = INFINITY};
    if (!json_is_object(row))
        return wrong(reader, where, "the row", "an object", row);
    if (bits && !json_is_null(bits) && !read_number(reader, where, "\"num_bits\"", bits, &entry.bits))
        return false;
    if (isfinite(entry.bits) && entry.bits >= FLOAT_BITS)
        return true;
    if (!read_name(reader, where, "\"layer\"", name, &entry.name) ||
        !read_number(reader, where, "\"sensitivity\"", json_object_get(row, "sensitivity"), &entry.score))
        return false;
    entry.worse = entry.score;
    return add(reader, &entry);
}

static bool read_row_list(struct reader *reader, json_t *root)
{
    const json_t *rows = json_object_get(root, "layer_sensitivity");
    if (!read_k(reader, root))
        return false;
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!read_row(reader, i, json_array_get(rows, i)))
            return false;
    return true;
}

/* ---- shape 2: {"layer_sensitivity": {"NAME.quant_recipe": {"formats": [F, ...], "scores": [X, ...]}, ...},
 * "k": K} */

static bool is_recipes(json_t *root)
{
    return json_is_object(json_object_get(root, "layer_sensitivity"));
}

/* The highest score of a format that quantizes; there may be none. */
static bool read_recipe_score(struct reader *reader, const char *where, const json_t *recipe,
                              struct entry *entry, bool *found)
{
    const json_t *formats = json_object_get(recipe, "formats"), *scores = json_object_get(recipe, "scores");
    if (!json_is_array(formats) || !json_is_array(scores) ||
        json_array_size(formats) != json_array_size(scores))
        return i4q_fail(reader->error, I4Q_MODEL,
                        "%s: \"formats\" and \"scores\" must be arrays of one length", where);
    *found = false;
    for (size_t i = 0; i < json_array_size(formats); i++) {
        const char *format;
        double score = 0;
        if (!read_name(reader, where, "a format", json_array_get(formats, i), &format) ||
            !read_number(reader, where, "a score", json_array_get(scores, i), &score))
            return false;
        if (strncmp(format, "NONE(", 5) == 0 || (*found && score <= entry->score))
            continue;
        entry->score = entry->worse = score;
        *found = true;
    }
    return true;
}

static bool read_recipe(struct reader *reader, const char *key, const json_t *recipe)
{
    static const char suffix[] = ".quant_recipe";
    size_t length = strlen(key), tail = strlen(suffix);
    bool has_suffix = length > tail && strcmp(key + length - tail, suffix) == 0, found = false;
    char where[WHERE];
    snprintf(where, sizeof where, "layer_sensitivity '%.200s'", key);
    const char *name =
        i4q_arena_format(reader->arena, "%.*s", (int)(has_suffix ? length - tail : length), key);
    struct entry entry = {.where = where, .name = name, .bits = INFINITY};
    if (!name)
        return i4q_fail_memory(reader->error);
    return read_recipe_score(reader, where, recipe, &entry, &found) && (!found || add(reader, &entry));
}

static bool read_recipes(struct reader *reader, json_t *root)
{
    json_t *recipes = json_object_get(root, "layer_sensitivity");
    if (!read_k(reader, root))
        return false;
    for (void *at = json_object_iter(recipes); at; at = json_object_iter_next(recipes, at))
        if (!read_recipe(reader, json_object_iter_key(at), json_object_iter_value(at)))
            return false;
    return true;
}

/* ---- shape 3: {"excluded_onnx_nodes": [NAME, ...], "excluded_layers": [NAME, ...]} */

static const char *const excluded_keys[] = {"excluded_onnx_nodes", "excluded_layers"};

static bool is_exclusion(json_t *root)
{
    return json_object_get(root, excluded_keys[0]) || json_object_get(root, excluded_keys[1]);
}

static bool read_excluded_names(struct reader *reader, const char *key, const json_t *names)
{
    if (!json_is_array(names))
        return wrong(reader, key, "the value", "an array of names", names);
    for (size_t i = 0; i < json_array_size(names); i++) {
        char where[WHERE];
        write_where(where, key, i, json_array_get(names, i));
        struct entry entry = {.where = where, .bits = INFINITY};
        if (!read_name(reader, where, "the name", json_array_get(names, i), &entry.name) ||
            !add(reader, &entry))
            return false;
    }
    return true;
}

static bool read_exclusion(struct reader *reader, json_t *root)
{
    for (size_t i = 0; i < sizeof excluded_keys / sizeof *excluded_keys; i++) {
        const json_t *names = json_object_get(root, excluded_keys[i]);
        if (names && !read_excluded_names(reader, excluded_keys[i], names))
            return false;
    }
    return true;
}

/* ---- shape 4: {NAME: NUMBER, ...} */

/* "layer_sensitivity" marks the shapes 1 and 2: with anything else in it, it is not a name but a mistake. */
static bool is_score_map(json_t *root)
{
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at))
        if (!json_is_number(json_object_iter_value(at)))
            return false;
    return json_object_size(root) > 0 && !json_object_get(root, "layer_sensitivity");
}

static bool read_score_map(struct reader *reader, json_t *root)
{
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at)) {
        const char *key = json_object_iter_key(at);
        double score = json_number_value(json_object_iter_value(at));
        char where[WHERE];
        snprintf(where, sizeof where, "'%.200s'", key);
        struct entry entry = {.where = where, .name = key, .score = score, .worse = score, .bits = INFINITY};
        if (!add(reader, &entry))
            return false;
    }
    return true;
}

/* ---- shape 5: [{"layer": NAME, "sensitivity": X}, ...] with other words for either */

/* "op" comes last: beside another name it tells the operator's type. */
static const char *const name_keys[] = {"layer", "name", "node", "module", "weight", "op"};

static const struct score_key {
    const char *key;
    bool higher_is_safer;
} score_keys[] = {
    {"sensitivity", false}, {"score", false}, {"mse", false},     {"kl", false},
    {"loss", false},        {"sqnr", true},   {"snr", true},      {"psnr", true},
    {"cosine", true},       {"map", true},    {"accuracy", true},
};

static const json_t *find_name(const json_t *row)
{
    const json_t *name = NULL;
    for (size_t i = 0; !name && i < sizeof name_keys / sizeof *name_keys; i++)
        name = json_object_get(row, name_keys[i]);
    return name;
}

static const struct score_key *find_score_key(const json_t *row)
{
    for (size_t i = 0; i < sizeof score_keys / sizeof *score_keys; i++)
        if (json_object_get(row, score_keys[i].key))
            return &score_keys[i];
    return NULL;
}

static bool is_record_list(json_t *root)
{
    const json_t *first = json_array_get(root, 0);
    return find_name(first) && find_score_key(first);
}

static bool read_record(struct reader *reader, size_t i, const json_t *record, const struct score_key *score)
{
    char where[WHERE], key[32];
    const json_t *name = find_name(record);
    write_where(where, "", i, name);
    snprintf(key, sizeof key, "\"%s\"", score->key);
    struct entry entry = {.where = where, .bits = INFINITY};
    if (!read_name(reader, where, "the name", name, &entry.name) ||
        !read_number(reader, where, key, json_object_get(record, score->key), &entry.score))
        return false;
    entry.worse = score->higher_is_safer ? -entry.score : entry.score;
    return add(reader, &entry);
}

/* Every record must have the score of the first: figures of different kinds cannot be ranked. */
static bool read_record_list(struct reader *reader, json_t *root)
{
    const struct score_key *score = find_score_key(json_array_get(root, 0));
    for (size_t i = 0; score && i < json_array_size(root); i++)
        if (!read_record(reader, i, json_array_get(root, i), score))
            return false;
    return true;
}

/* ---- all shapes */

static const struct shape {
    bool (*recognize)(json_t *root);
    bool (*read)(struct reader *reader, json_t *root);
    bool scored;
} shapes[] = {
    {is_row_list, read_row_list, true},       {is_recipes, read_recipes, true},
    {is_exclusion, read_exclusion, false},    {is_score_map, read_score_map, true},
    {is_record_list, read_record_list, true},
};

static const struct shape *recognize(json_t *root)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].recognize(root))
            return &shapes[i];
    return NULL;
}

/* A file whose names are all strange belongs to another model. One without entries asks for nothing. */
static bool check_matches(struct reader *reader)
{
    const struct i4q_sensitivity *result = reader->result;
    if (!result->entries || !reader->index->count || result->unmatched.count < result->entries)
        return true;
    return i4q_fail(reader->error, I4Q_MODEL,
                    "none of its %zu entries names a Conv of the model (it has '%s', the model '%s')",
                    result->entries, result->unmatched.items[0], conv_name(reader, 0, ""));
}

static bool read_document(struct reader *reader, json_t *root)
{
    const struct shape *shape = recognize(root);
    if (!shape)
        return i4q_fail(reader->error, I4Q_MODEL, "not a sensitivity file: %s", EXPECTED);
    reader->result->scored = shape->scored;
    if (!shape->read(reader, root))
        return false;
    measure_convs(reader);
    return check_matches(reader);
}

bool i4q_sensitivity_read(struct i4q_arena *arena, struct i4q_view json, const struct i4q_name_index *index,
                          const void *const *weights, struct i4q_sensitivity *sensitivity,
                          struct i4q_error *error)
{
    struct reader reader = {
        .arena = arena, .index = index, .weights = weights, .result = sensitivity, .error = error};
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

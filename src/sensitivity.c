// SPDX-License-Identifier: Apache-2.0
#include "int4q/sensitivity.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FLOAT_BITS = 16 }; /* a row measured at this many bits or more is no measurement of quantization */

static const char EXPECTED[] = "expected {\"layer_sensitivity\": [...] or {...}}, {\"excluded_onnx_nodes\" "
                               "or \"excluded_layers\": [...]}, "
                               "{NAME: NUMBER, ...} or [{\"layer\": NAME, \"sensitivity\": X}, ...]";

struct reader {
    struct i4q_arena *arena;
    const struct i4q_name_index *index;
    const void *const *weights;
    struct i4q_sensitivity *result;
    double *bits; /* of the measurement that each Conv has so far */
    struct i4q_error *error;
};

/* One measurement as it stands in the file. */
struct entry {
    const char *where; /* how messages call its place, such as layer_sensitivity[3] */
    const char *name;
    double score;
    double worse;
    double bits; /* INFINITY when the file does not tell */
};

/* ---- entries to Convs */

static bool is_ambiguous(const struct reader *reader, const struct i4q_name_hit *hit)
{
    for (const struct i4q_name_hit *other = hit->next; other; other = other->next)
        if (reader->weights[other->conv] != reader->weights[hit->conv])
            return true;
    return false;
}

static const char *conv_name(const struct reader *reader, size_t conv)
{
    for (int a = 0; a < I4Q_ALIASES; a++)
        if (reader->index->names[conv].alias[a])
            return reader->index->names[conv].alias[a];
    return "";
}

static bool fail_ambiguous(struct reader *reader, const struct entry *entry, const struct i4q_name_hit *hit)
{
    char list[512] = "";
    for (size_t length = 0; hit && length < sizeof list; hit = hit->next) {
        snprintf(list + length, sizeof list - length, "%s'%s'", length ? ", " : "",
                 conv_name(reader, hit->conv));
        length = strlen(list);
    }
    return i4q_fail(reader->error, I4Q_MODEL, "%s: '%s' fits several Convs: %s", entry->where, entry->name,
                    list);
}

/* Of two measurements of one Conv, the one with fewer bits counts; with as many, the worse. */
static void measure(struct reader *reader, const struct entry *entry, size_t conv)
{
    struct i4q_measurement *measurement = &reader->result->convs[conv];
    bool replaces = !measurement->present || entry->bits < reader->bits[conv] ||
                    (entry->bits == reader->bits[conv] && entry->worse > measurement->worse);
    if (!replaces)
        return;
    *measurement = (struct i4q_measurement){.present = true, .score = entry->score, .worse = entry->worse};
    reader->bits[conv] = entry->bits;
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
    if (is_ambiguous(reader, hit))
        return fail_ambiguous(reader, entry, hit);
    for (; hit; hit = hit->next)
        measure(reader, entry, hit->conv);
    return true;
}

/* ---- values */

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

static bool wrong(struct reader *reader, const char *where, const char *key, const char *expected,
                  const json_t *value)
{
    return i4q_fail(reader->error, I4Q_MODEL, "%s: %s must be %s, it is %s", where, key, expected,
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
    if (!json_is_integer(k) || json_integer_value(k) < 0)
        return i4q_fail(reader->error, I4Q_MODEL, "\"k\" must be an integer of at least 0");
    reader->result->has_k = true;
    reader->result->k = (size_t)json_integer_value(k);
    return true;
}

/* ---- shape 1: {"layer_sensitivity": [{"layer": NAME, "sensitivity": X, "num_bits": B}, ...], "k": K} */

static bool is_row_list(const json_t *root)
{
    return json_is_array(json_object_get(root, "layer_sensitivity"));
}

static bool read_row(struct reader *reader, const char *where, const json_t *row)
{
    struct entry entry = {.where = where, .bits = INFINITY};
    const json_t *bits = json_object_get(row, "num_bits");
    if (!json_is_object(row))
        return wrong(reader, where, "the row", "an object", row);
    if (bits && !json_is_null(bits) && !read_number(reader, where, "\"num_bits\"", bits, &entry.bits))
        return false;
    if (isfinite(entry.bits) && entry.bits >= FLOAT_BITS)
        return true;
    if (!read_name(reader, where, "\"layer\"", json_object_get(row, "layer"), &entry.name) ||
        !read_number(reader, where, "\"sensitivity\"", json_object_get(row, "sensitivity"), &entry.score))
        return false;
    entry.worse = entry.score;
    return add(reader, &entry);
}

static bool read_row_list(struct reader *reader, const json_t *root)
{
    const json_t *rows = json_object_get(root, "layer_sensitivity");
    if (!read_k(reader, root))
        return false;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        char where[64];
        snprintf(where, sizeof where, "layer_sensitivity[%zu]", i);
        if (!read_row(reader, where, json_array_get(rows, i)))
            return false;
    }
    return true;
}

/* ---- shape 2: {"layer_sensitivity": {"NAME.quant_recipe": {"formats": [...], "scores": [...]}, ...}, "k":
 * K} */

static bool is_recipes(const json_t *root)
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
    char where[256];
    snprintf(where, sizeof where, "layer_sensitivity '%s'", key);
    const char *name =
        i4q_arena_format(reader->arena, "%.*s", (int)(has_suffix ? length - tail : length), key);
    struct entry entry = {.where = where, .name = name, .bits = INFINITY};
    if (!name)
        return i4q_fail_memory(reader->error);
    return read_recipe_score(reader, where, recipe, &entry, &found) && (!found || add(reader, &entry));
}

static bool read_recipes(struct reader *reader, const json_t *root)
{
    const char *key;
    json_t *recipe;
    if (!read_k(reader, root))
        return false;
    json_object_foreach(json_object_get(root, "layer_sensitivity"), key,
                        recipe) if (!read_recipe(reader, key, recipe)) return false;
    return true;
}

/* ---- shape 3: {"excluded_onnx_nodes": [NAME, ...], "excluded_layers": [NAME, ...]} */

static const char *const EXCLUDED_KEYS[] = {"excluded_onnx_nodes", "excluded_layers"};

static bool is_exclusion(const json_t *root)
{
    return json_object_get(root, EXCLUDED_KEYS[0]) || json_object_get(root, EXCLUDED_KEYS[1]);
}

static bool read_excluded_names(struct reader *reader, const char *key, const json_t *names)
{
    if (!json_is_array(names))
        return wrong(reader, key, "the value", "an array of names", names);
    for (size_t i = 0; i < json_array_size(names); i++) {
        char where[64];
        snprintf(where, sizeof where, "%s[%zu]", key, i);
        struct entry entry = {.where = where, .bits = INFINITY};
        if (!read_name(reader, where, "the name", json_array_get(names, i), &entry.name) ||
            !add(reader, &entry))
            return false;
    }
    return true;
}

static bool read_exclusion(struct reader *reader, const json_t *root)
{
    for (size_t i = 0; i < sizeof EXCLUDED_KEYS / sizeof *EXCLUDED_KEYS; i++) {
        const json_t *names = json_object_get(root, EXCLUDED_KEYS[i]);
        if (names && !read_excluded_names(reader, EXCLUDED_KEYS[i], names))
            return false;
    }
    return true;
}

/* ---- shape 4: {NAME: NUMBER, ...} */

static bool is_score_map(const json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value) if (!json_is_number(value)) return false;
    return json_object_size(root) > 0;
}

static bool read_score_map(struct reader *reader, const json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        double score = json_number_value(value);
        struct entry entry = {
            .where = "the scores", .name = key, .score = score, .worse = score, .bits = INFINITY};
        if (!add(reader, &entry))
            return false;
    }
    return true;
}

/* ---- shape 5: [{"layer": NAME, "sensitivity": X}, ...] with other words for either */

static const char *const NAME_KEYS[] = {"layer", "name", "node", "op", "module", "weight"};

static const struct score_key {
    const char *key;
    bool higher_is_safer;
} score_keys[] = {
    {"sensitivity", false}, {"score", false}, {"mse", false},     {"kl", false},
    {"loss", false},        {"sqnr", true},   {"snr", true},      {"psnr", true},
    {"cosine", true},       {"map", true},    {"accuracy", true},
};

static const struct score_key *find_score_key(const json_t *row)
{
    for (size_t i = 0; i < sizeof score_keys / sizeof *score_keys; i++)
        if (json_object_get(row, score_keys[i].key))
            return &score_keys[i];
    return NULL;
}

static const char *find_name_key(const json_t *row)
{
    for (size_t i = 0; i < sizeof NAME_KEYS / sizeof *NAME_KEYS; i++)
        if (json_object_get(row, NAME_KEYS[i]))
            return NAME_KEYS[i];
    return NULL;
}

static bool is_record_list(const json_t *root)
{
    if (!json_is_array(root) || json_array_size(root) == 0)
        return false;
    const json_t *first = json_array_get(root, 0);
    return find_name_key(first) && find_score_key(first);
}

/* Every row must have the score of the first: figures of different kinds cannot be ranked. */
static bool read_record_list(struct reader *reader, const json_t *root)
{
    const struct score_key *score = find_score_key(json_array_get(root, 0));
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *row = json_array_get(root, i);
        const char *name_key = find_name_key(row);
        char where[64];
        snprintf(where, sizeof where, "row %zu", i);
        struct entry entry = {.where = where, .bits = INFINITY};
        if (!read_name(reader, where, "the name", name_key ? json_object_get(row, name_key) : NULL,
                       &entry.name) ||
            !read_number(reader, where, score->key, json_object_get(row, score->key), &entry.score))
            return false;
        entry.worse = score->higher_is_safer ? -entry.score : entry.score;
        if (!add(reader, &entry))
            return false;
    }
    return true;
}

/* ---- all shapes */

static const struct shape {
    bool (*recognize)(const json_t *root);
    bool (*read)(struct reader *reader, const json_t *root);
    bool scored;
} shapes[] = {
    {is_row_list, read_row_list, true},       {is_recipes, read_recipes, true},
    {is_exclusion, read_exclusion, false},    {is_score_map, read_score_map, true},
    {is_record_list, read_record_list, true},
};

static const struct shape *recognize(const json_t *root)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].recognize(root))
            return &shapes[i];
    return NULL;
}

static bool check_matches(struct reader *reader)
{
    const struct i4q_sensitivity *result = reader->result;
    if (!result->entries || result->unmatched.count < result->entries)
        return true;
    return i4q_fail(reader->error, I4Q_MODEL,
                    "none of its %zu entries names a Conv of the model (it has '%s', the model '%s')",
                    result->entries, result->unmatched.items[0],
                    reader->index->count ? conv_name(reader, 0) : "no Conv");
}

static bool read_document(struct reader *reader, const json_t *root)
{
    const struct shape *shape = recognize(root);
    if (!shape)
        return i4q_fail(reader->error, I4Q_MODEL, "not a sensitivity file: %s", EXPECTED);
    reader->result->scored = shape->scored;
    return shape->read(reader, root) && check_matches(reader);
}

bool i4q_sensitivity_read(struct i4q_arena *arena, struct i4q_view json, const struct i4q_name_index *index,
                          const void *const *weights, struct i4q_sensitivity *sensitivity,
                          struct i4q_error *error)
{
    struct reader reader = {arena, index, weights, sensitivity, NULL, error};
    *sensitivity = (struct i4q_sensitivity){0};
    sensitivity->convs = i4q_arena_alloc(arena, index->count, sizeof *sensitivity->convs);
    reader.bits = i4q_arena_alloc(arena, index->count, sizeof *reader.bits);
    if (!sensitivity->convs || !reader.bits)
        return i4q_fail_memory(error);
    json_error_t problem;
    json_t *root =
        json_loadb(json.size ? (const char *)json.data : "", json.size, JSON_REJECT_DUPLICATES, &problem);
    if (!root)
        return i4q_fail(error, I4Q_MODEL, "not JSON: line %d, column %d: %s", problem.line, problem.column,
                        problem.text);
    bool ok = read_document(&reader, root);
    json_decref(root);
    return ok;
}

// SPDX-License-Identifier: Apache-2.0
/* Shape 5: [{"layer": NAME, "sensitivity": X}, ...] with other words for either */
#include "plan/shapes/shape.h"

#include <math.h>
#include <stdio.h>

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

static bool read_record(struct i4q_sink *sink, size_t i, const json_t *record, const struct score_key *score)
{
    char where[I4Q_WHERE], key[32];
    const json_t *name = find_name(record);
    i4q_shape_where(where, "", i, name);
    snprintf(key, sizeof key, "\"%s\"", score->key);
    struct i4q_entry entry = {.where = where, .bits = INFINITY};
    if (!i4q_shape_name(sink, where, "the name", name, &entry.name) ||
        !i4q_shape_number(sink, where, key, json_object_get(record, score->key), &entry.score))
        return false;
    entry.worse = score->higher_is_safer ? -entry.score : entry.score;
    return sink->take(sink, &entry);
}

/* Every record must have the score of the first: figures of different kinds cannot be ranked. */
static bool read_record_list(struct i4q_sink *sink, json_t *root)
{
    const struct score_key *score = find_score_key(json_array_get(root, 0));
    for (size_t i = 0; score && i < json_array_size(root); i++)
        if (!read_record(sink, i, json_array_get(root, i), score))
            return false;
    return true;
}

const struct i4q_shape i4q_shape_records = {
    .recognise = is_record_list, .read = read_record_list, .scored = true};

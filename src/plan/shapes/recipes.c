// SPDX-License-Identifier: Apache-2.0
/* Shape 2: {"layer_sensitivity": {"NAME.quant_recipe": {"formats": [F, ...], "scores": [X, ...]}, ...},
 * "k": K} */
#include "plan/shapes/shape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_recipes(json_t *root)
{
    return json_is_object(json_object_get(root, "layer_sensitivity"));
}

/* The highest score of a format that quantizes; there may be none. */
static bool read_recipe_score(struct i4q_sink *sink, const char *where, const json_t *recipe,
                              struct i4q_entry *entry, bool *found)
{
    const json_t *formats = json_object_get(recipe, "formats"), *scores = json_object_get(recipe, "scores");
    if (!json_is_array(formats) || !json_is_array(scores) ||
        json_array_size(formats) != json_array_size(scores))
        return i4q_fail(sink->error, I4Q_MODEL, "%s: \"formats\" and \"scores\" must be arrays of one length",
                        where);
    *found = false;
    for (size_t i = 0; i < json_array_size(formats); i++) {
        const char *format;
        double score = 0;
        if (!i4q_shape_name(sink, where, "a format", json_array_get(formats, i), &format) ||
            !i4q_shape_number(sink, where, "a score", json_array_get(scores, i), &score))
            return false;
        if (strncmp(format, "NONE(", 5) == 0 || (*found && score <= entry->score))
            continue;
        entry->score = entry->worse = score;
        *found = true;
    }
    return true;
}

static bool read_recipe(struct i4q_sink *sink, const char *key, const json_t *recipe)
{
    static const char suffix[] = ".quant_recipe";
    size_t length = strlen(key), tail = strlen(suffix);
    bool has_suffix = length > tail && strcmp(key + length - tail, suffix) == 0, found = false;
    char where[I4Q_WHERE];
    snprintf(where, sizeof where, "layer_sensitivity '%.200s'", key);
    const char *name = i4q_arena_format(sink->arena, "%.*s", (int)(has_suffix ? length - tail : length), key);
    struct i4q_entry entry = {.where = where, .name = name, .bits = INFINITY};
    if (!name)
        return i4q_fail_memory(sink->error);
    return read_recipe_score(sink, where, recipe, &entry, &found) && (!found || sink->take(sink, &entry));
}

static bool read_recipes(struct i4q_sink *sink, json_t *root)
{
    json_t *recipes = json_object_get(root, "layer_sensitivity");
    if (!i4q_shape_k(sink, root))
        return false;
    for (void *at = json_object_iter(recipes); at; at = json_object_iter_next(recipes, at))
        if (!read_recipe(sink, json_object_iter_key(at), json_object_iter_value(at)))
            return false;
    return true;
}

const struct i4q_shape i4q_shape_recipes = {.recognise = is_recipes, .read = read_recipes, .scored = true};

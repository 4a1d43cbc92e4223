// SPDX-License-Identifier: Apache-2.0
/* Shape 4: {NAME: NUMBER, ...} */
#include "plan/shapes/shape.h"

#include <math.h>
#include <stdio.h>

/* "layer_sensitivity" marks the shapes 1 and 2: with anything else in it, it is not a name but a mistake. */
static bool is_score_map(json_t *root)
{
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at))
        if (!json_is_number(json_object_iter_value(at)))
            return false;
    return json_object_size(root) > 0 && !json_object_get(root, "layer_sensitivity");
}

static bool read_score_map(struct i4q_sink *sink, json_t *root)
{
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at)) {
        const char *key = json_object_iter_key(at);
        double score = json_number_value(json_object_iter_value(at));
        char where[I4Q_WHERE];
        snprintf(where, sizeof where, "'%.200s'", key);
        struct i4q_entry entry = {
            .where = where, .name = key, .score = score, .worse = score, .bits = INFINITY};
        if (!sink->take(sink, &entry))
            return false;
    }
    return true;
}

const struct i4q_shape i4q_shape_scores = {.recognise = is_score_map, .read = read_score_map, .scored = true};

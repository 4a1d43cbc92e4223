// SPDX-License-Identifier: Apache-2.0
/* Shape 3: {"excluded_onnx_nodes": [NAME, ...], "excluded_layers": [NAME, ...]} */
#include "plan/shapes/shape.h"

#include <math.h>

static const char *const excluded_keys[] = {"excluded_onnx_nodes", "excluded_layers"};

static bool is_exclusion(json_t *root)
{
    return json_object_get(root, excluded_keys[0]) || json_object_get(root, excluded_keys[1]);
}

static bool read_excluded_names(struct i4q_sink *sink, const char *key, const json_t *names)
{
    if (!json_is_array(names))
        return i4q_shape_wrong(sink, key, "the value", "an array of names", names);
    for (size_t i = 0; i < json_array_size(names); i++) {
        char where[I4Q_WHERE];
        i4q_shape_where(where, key, i, json_array_get(names, i));
        struct i4q_entry entry = {.where = where, .bits = INFINITY};
        if (!i4q_shape_name(sink, where, "the name", json_array_get(names, i), &entry.name) ||
            !sink->take(sink, &entry))
            return false;
    }
    return true;
}

static bool read_exclusion(struct i4q_sink *sink, json_t *root)
{
    for (size_t i = 0; i < sizeof excluded_keys / sizeof *excluded_keys; i++) {
        const json_t *names = json_object_get(root, excluded_keys[i]);
        if (names && !read_excluded_names(sink, excluded_keys[i], names))
            return false;
    }
    return true;
}

const struct i4q_shape i4q_shape_exclusion = {
    .recognise = is_exclusion, .read = read_exclusion, .scored = false};

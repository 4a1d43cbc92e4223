// SPDX-License-Identifier: Apache-2.0
/* Shape 1: {"layer_sensitivity": [{"layer": NAME, "sensitivity": X, "num_bits": B, "noise": N}, ...], "k": K}
 */
#include "plan/shapes/shape.h"

#include <math.h>

enum { FLOAT_BITS = 16 }; /* a row measured at this many bits or more is no measurement of quantization */

static bool is_row_list(json_t *root)
{
    return json_is_array(json_object_get(root, "layer_sensitivity"));
}

/* Scores are divided by it. */
static bool read_noise(struct i4q_sink *sink, const char *where, const json_t *noise, double *value)
{
    if (!noise || json_is_null(noise))
        return true;
    if (!i4q_shape_number(sink, where, "\"noise\"", noise, value))
        return false;
    return *value > 0 ||
           i4q_fail(sink->error, I4Q_MODEL, "%s: \"noise\" must be above 0, got %g", where, *value);
}

static bool read_row(struct i4q_sink *sink, size_t i, const json_t *row)
{
    char where[I4Q_WHERE];
    const json_t *name = json_object_get(row, "layer"), *bits = json_object_get(row, "num_bits");
    i4q_shape_where(where, "layer_sensitivity", i, name);
    struct i4q_entry entry = {.where = where, .bits = INFINITY};
    if (!json_is_object(row))
        return i4q_shape_wrong(sink, where, "the row", "an object", row);
    if (bits && !json_is_null(bits) && !i4q_shape_number(sink, where, "\"num_bits\"", bits, &entry.bits))
        return false;
    if (isfinite(entry.bits) && entry.bits >= (double)FLOAT_BITS)
        return true;
    if (!i4q_shape_name(sink, where, "\"layer\"", name, &entry.name) ||
        !i4q_shape_number(sink, where, "\"sensitivity\"", json_object_get(row, "sensitivity"),
                          &entry.score) ||
        !read_noise(sink, where, json_object_get(row, "noise"), &entry.noise))
        return false;
    entry.worse = entry.score;
    return sink->take(sink, &entry);
}

static bool read_row_list(struct i4q_sink *sink, json_t *root)
{
    const json_t *rows = json_object_get(root, "layer_sensitivity");
    if (!i4q_shape_k(sink, root))
        return false;
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!read_row(sink, i, json_array_get(rows, i)))
            return false;
    return true;
}

const struct i4q_shape i4q_shape_rows = {.recognise = is_row_list, .read = read_row_list, .scored = true};

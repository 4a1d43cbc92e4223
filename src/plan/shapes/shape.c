// SPDX-License-Identifier: Apache-2.0
#include "plan/shapes/shape.h"

#include <stdio.h>

/* How messages call element `i` of a list: layer_sensitivity[3] ('model.0.conv'). */
void i4q_shape_where(char where[static I4Q_WHERE], const char *list, size_t i, const json_t *name)
{
    int length = snprintf(where, I4Q_WHERE, "%s[%zu]", list, i);
    if (json_is_string(name))
        snprintf(where + length, I4Q_WHERE - (size_t)length, " ('%.200s')", json_string_value(name));
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

bool i4q_shape_wrong(struct i4q_sink *sink, const char *where, const char *key, const char *expected,
                     const json_t *value)
{
    return i4q_fail(sink->error, I4Q_MODEL, "%s: %s must be %s, got %s", where, key, expected,
                    type_name(value));
}

/* jansson refuses numbers that binary64 cannot hold, so what it has read is finite. */
bool i4q_shape_number(struct i4q_sink *sink, const char *where, const char *key, const json_t *value,
                      double *number)
{
    if (!json_is_number(value))
        return i4q_shape_wrong(sink, where, key, "a finite number", value);
    *number = json_number_value(value);
    return true;
}

bool i4q_shape_name(struct i4q_sink *sink, const char *where, const char *key, const json_t *value,
                    const char **name)
{
    *name = json_string_value(value);
    return *name || i4q_shape_wrong(sink, where, key, "a string", value);
}

bool i4q_shape_k(struct i4q_sink *sink, const json_t *root)
{
    const json_t *k = json_object_get(root, "k");
    if (!k || json_is_null(k))
        return true;
    if (!json_is_integer(k))
        return i4q_shape_wrong(sink, "\"k\"", "the value", "an integer", k);
    if (json_integer_value(k) < 0)
        return i4q_fail(sink->error, I4Q_MODEL, "\"k\": the value must be at least 0, got %lld",
                        (long long)json_integer_value(k));
    sink->has_k = true;
    sink->k = (size_t)json_integer_value(k);
    return true;
}

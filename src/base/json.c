// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPLACEMENT = 3, PRECISION = 9 }; /* bytes of U+FFFD in UTF-8; digits that tell any two floats apart */

/* When memory runs out, jansson's reader calls it a syntax error, and its writer may leave out a part and not
 * tell. So its calls of malloc are watched. */
static bool short_of_memory;

static void *allocate(size_t size)
{
    void *block = malloc(size);
    short_of_memory |= !block;
    return block;
}

static void watch_memory(void)
{
    json_set_alloc_funcs(allocate, free);
    short_of_memory = false;
}

json_t *i4q_json_text(const char *text)
{
    if (!text)
        return json_null();
    char *clean = malloc(strlen(text) * REPLACEMENT + 1), *out = clean;
    if (!clean)
        return NULL;
    for (const char *in = text; *in;) {
        size_t length = i4q_utf8_length(in);
        memcpy(out, length ? in : "\xef\xbf\xbd", length ? length : REPLACEMENT);
        out += length ? length : REPLACEMENT;
        in += length ? length : 1;
    }
    json_t *string = json_stringn(clean, (size_t)(out - clean));
    free(clean);
    return string;
}

json_t *i4q_json_texts(const char *const *texts, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        i4q_json_add(&array, i4q_json_text(texts[i]));
    return array;
}

json_t *i4q_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *i4q_json_size(size_t value)
{
    return json_integer((json_int_t)value);
}

json_t *i4q_json_dims(const int64_t *dims, size_t rank)
{
    if (!dims)
        return json_null();
    json_t *array = json_array();
    for (size_t i = 0; i < rank; i++)
        i4q_json_add(&array, json_integer(dims[i]));
    return array;
}

/* ---- reading */

json_t *i4q_json_parse(struct i4q_view text, struct i4q_error *error)
{
    json_error_t problem;
    text = i4q_utf8_without_mark(text);
    watch_memory();
    json_t *root =
        json_loadb(text.size ? (const char *)text.data : "", text.size, JSON_REJECT_DUPLICATES, &problem);
    if (!root && short_of_memory)
        i4q_fail_memory(error);
    else if (!root)
        i4q_fail(error, I4Q_MODEL, "not JSON: line %d, column %d: %s", problem.line, problem.column,
                 problem.text);
    return root;
}

/* ---- writing */

/* `done`: the container took the value. */
static void settle(json_t **container, json_t *value, bool done)
{
    if (done)
        return;
    if (!*container)
        json_decref(value);
    json_decref(*container);
    *container = NULL;
}

void i4q_json_put(json_t **object, const char *key, json_t *value)
{
    settle(object, value, *object && json_object_set_new(*object, key, value) == 0);
}

void i4q_json_add(json_t **array, json_t *value)
{
    settle(array, value, *array && json_array_append_new(*array, value) == 0);
}

char *i4q_json_print(json_t *document, struct i4q_error *error)
{
    watch_memory();
    char *text = document ? json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(PRECISION)) : NULL;
    json_decref(document);
    if (text && !short_of_memory)
        return text;
    free(text);
    i4q_fail_memory(error);
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/origin.h"

#include "base/crc32.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

/* What one of the metadata, which are texts, says as JSON; the caller releases it. NULL: there is none. */
static json_t *read_object(const json_t *metadata, const char *key)
{
    struct i4q_error ignored = {0};
    const char *text = json_string_value(json_object_get(metadata, key));
    return text ? i4q_json_parse((struct i4q_view){(const uint8_t *)text, strlen(text)}, &ignored) : NULL;
}

static bool is_same(const struct i4q_weight *weight, const char *sum)
{
    char ours[16];
    snprintf(ours, sizeof ours, "%08x", (unsigned)i4q_crc32(weight->payload));
    return strcmp(ours, sum) == 0;
}

struct comparison {
    size_t floats;   /* weights of the model that are stored as such */
    size_t unstored; /* of them, those that were measured where they are not */
    size_t common, different;
    const char *first; /* that differs */
};

/* `sums`: {weight: CRC-32 in hexadecimal}; `measured` has all weights. */
static struct comparison compare(const json_t *sums, const json_t *measured,
                                 const struct i4q_weights *weights)
{
    struct comparison found = {0};
    for (size_t i = 0; i < weights->count; i++) {
        const struct i4q_weight *weight = &weights->items[i];
        const char *sum = json_string_value(json_object_get(sums, weight->value->name));
        bool is_float = weight->payload.data && !weight->origin;
        found.floats += is_float;
        found.unstored += is_float && sums && !sum && json_object_get(measured, weight->value->name);
        if (!sum || !weight->payload.data)
            continue;
        found.common++;
        if (is_same(weight, sum))
            continue;
        found.first = found.different ? found.first : weight->value->name;
        found.different++;
    }
    return found;
}

bool i4q_origin_check(const struct i4q_statistics *statistics, const struct i4q_weights *weights,
                      const char *path, struct i4q_error *error)
{
    const json_t *metadata = json_object_get(statistics->header, "__metadata__");
    const char *model = json_string_value(json_object_get(metadata, "model"));
    json_t *sums = read_object(metadata, "weights_crc32"), *measured = read_object(metadata, "positions");
    size_t told = json_object_size(sums);
    bool tells_none = json_is_object(sums) && !told;
    struct comparison found = compare(sums, measured, weights);
    json_decref(sums);
    json_decref(measured);
    size_t unstored = tells_none ? found.floats : found.unstored;
    if (model && unstored) {
        error->file = statistics->path;
        return i4q_fail(error, I4Q_MODEL,
                        "measured on %s, which does not store %zu weights of Convs as floats, and %s does; "
                        "--allow-other-model takes it",
                        model, unstored, path);
    }
    bool other = told && weights->count && (!found.common || found.different);
    if (!other)
        return true;
    error->file = statistics->path;
    model = model ? model : "another model";
    if (!found.common)
        return i4q_fail(error, I4Q_MODEL,
                        "measured on %s, and none of its %zu weights is in %s; --allow-other-model takes it",
                        model, told, path);
    return i4q_fail(error, I4Q_MODEL,
                    "measured on %s, of whose weights %zu of %zu have other values in %s, '%s' the first; "
                    "--allow-other-model takes it",
                    model, found.different, found.common, path, found.first);
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/statistics.h"

#include "base/checked.h"
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, MAX_HEADER = 16 << 20 }; /* as much JSON as there may be elsewhere */

static bool parse_header(struct i4q_statistics *statistics, struct i4q_view bytes, struct i4q_error *error)
{
    uint64_t length = 0;
    if (bytes.size < LENGTH_BYTES)
        return i4q_fail(error, I4Q_MODEL, "not a safetensors file: it has %zu bytes", bytes.size);
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)bytes.data[i] << 8 * i;
    if (length > MAX_HEADER || length > bytes.size - LENGTH_BYTES)
        return i4q_fail(error, I4Q_MODEL, "not a safetensors file: its header has %llu bytes, the file %zu",
                        (unsigned long long)length, bytes.size);
    statistics->header = i4q_json_parse((struct i4q_view){bytes.data + LENGTH_BYTES, (size_t)length}, error);
    if (statistics->header && !json_is_object(statistics->header))
        return i4q_fail(error, I4Q_MODEL, "not a safetensors file: its header is no JSON object");
    if (!statistics->header)
        return false;
    statistics->data =
        (struct i4q_view){bytes.data + LENGTH_BYTES + length, bytes.size - LENGTH_BYTES - (size_t)length};
    return true;
}

static bool parse_metadata(struct i4q_statistics *statistics, struct i4q_error *error)
{
    const json_t *metadata = json_object_get(statistics->header, "__metadata__");
    const char *images = json_string_value(json_object_get(metadata, "images"));
    char *end = NULL;
    errno = 0;
    long count = images ? strtol(images, &end, 10) : 0;
    if (!images || *end || errno || count <= 0)
        return i4q_fail(error, I4Q_MODEL, "not calibration statistics: no number of images in the metadata");
    statistics->images = (size_t)count;
    return true;
}

bool i4q_statistics_open(struct i4q_statistics *statistics, const char *path, struct i4q_error *error)
{
    struct i4q_input input = {0};
    *statistics = (struct i4q_statistics){0};
    bool ok = i4q_input_open(&input, path, SIZE_MAX - 1, error) &&
              i4q_statistics_read(statistics, input.bytes, error);
    if (ok) {
        statistics->input = input;
        statistics->path = path;
    } else
        i4q_input_close(&input);
    return ok;
}

bool i4q_statistics_read(struct i4q_statistics *statistics, struct i4q_view bytes, struct i4q_error *error)
{
    *statistics = (struct i4q_statistics){0};
    if (parse_header(statistics, bytes, error) && parse_metadata(statistics, error))
        return true;
    i4q_statistics_close(statistics);
    return false;
}

void i4q_statistics_close(struct i4q_statistics *statistics)
{
    json_decref(statistics->header);
    i4q_input_close(&statistics->input);
    *statistics = (struct i4q_statistics){0};
}

/* ---- one tensor */

/* The dimensions of an entry, at most `rank` of them; their number, or 0 for what is no shape. */
static size_t read_shape(const json_t *entry, size_t *dims, size_t rank)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t n = json_array_size(shape);
    if (n > rank)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) <= 0)
            return 0;
        dims[i] = (size_t)json_integer_value(dim);
    }
    return n;
}

static bool read_span(const struct i4q_statistics *statistics, const json_t *entry, size_t bytes,
                      const void **data)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return false;
    json_int_t first = json_integer_value(begin), last = json_integer_value(end);
    if (first < 0 || last < first || (uint64_t)last > statistics->data.size ||
        (uint64_t)(last - first) != bytes)
        return false;
    *data = statistics->data.data + first;
    return true;
}

/* The key of what is told about a name, to be freed; NULL when memory runs out. */
static char *make_key(const char *name, const char *what)
{
    size_t size = strlen(name) + strlen(what) + sizeof "|";
    char *key = malloc(size);
    if (key)
        snprintf(key, size, "%s|%s", name, what);
    return key;
}

static bool read_tensor(const struct i4q_statistics *statistics, const char *key, const char *type,
                        size_t rank, size_t *dims, const void **data, struct i4q_error *error)
{
    const json_t *entry = json_object_get(statistics->header, key);
    const char *stored = json_string_value(json_object_get(entry, "dtype"));
    size_t bytes = 4; /* of an element: F32, U32 */
    *data = NULL;
    if (!entry)
        return true;
    bool fits = stored && strcmp(stored, type) == 0 && read_shape(entry, dims, rank) == rank;
    for (size_t i = 0; fits && i < rank; i++)
        fits = i4q_mul_size(bytes, dims[i], &bytes);
    if (!fits)
        return i4q_fail(error, I4Q_MODEL, "'%s' is not %s of %zu dimensions that are not empty", key, type,
                        rank);
    return read_span(statistics, entry, bytes, data) ||
           i4q_fail(error, I4Q_MODEL, "'%s' does not lie within the file", key);
}

bool i4q_statistics_tensor(const struct i4q_statistics *statistics, const char *name, const char *what,
                           const char *type, size_t rank, size_t *dims, const void **data,
                           struct i4q_error *error)
{
    char *key = make_key(name, what);
    if (!key)
        return i4q_fail_memory(error);
    bool ok = read_tensor(statistics, key, type, rank, dims, data, error);
    free(key);
    if (!ok && error->code == I4Q_MODEL)
        error->file = statistics->path;
    return ok;
}

/* Entry `name` as F32 [groups, tail...], or without groups where that is 1; *data stays NULL if there is
 * none. */
static bool find(const struct i4q_statistics *statistics, const char *name, size_t k, size_t tail,
                 size_t *groups, const void **data, struct i4q_error *error)
{
    const json_t *entry = json_object_get(statistics->header, name);
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    size_t dims[3] = {0}, rank, bytes = sizeof(float);
    if (!entry)
        return true;
    rank = read_shape(entry, dims, tail + 1);
    bool fits = type && strcmp(type, "F32") == 0 && (rank == tail || rank == tail + 1);
    for (size_t i = rank - tail; fits && i < rank; i++)
        fits = dims[i] == k;
    size_t found = fits && rank > tail ? dims[0] : 1;
    for (size_t i = 0; fits && i < rank; i++)
        fits = i4q_mul_size(bytes, dims[i], &bytes);
    if (!fits || (*groups && *groups != found))
        return i4q_fail(error, I4Q_MODEL, "'%s' is not F32 of a shape that fits, whose last dimension is %zu",
                        name, k);
    *groups = found;
    return read_span(statistics, entry, bytes, data) ||
           i4q_fail(error, I4Q_MODEL, "'%s' does not lie within the file", name);
}

static bool are_within(const void *data, size_t count, float limit)
{
    for (size_t i = 0; data && i < count; i++) {
        float number;
        memcpy(&number, (const char *)data + i * sizeof number, sizeof number);
        if (!(fabsf(number) <= limit))
            return false;
    }
    return true;
}

static bool find_named(const struct i4q_statistics *statistics, const char *weight, const char *what,
                       size_t k, size_t tail, size_t *groups, const void **data, struct i4q_error *error)
{
    char *name = make_key(weight, what);
    if (!name)
        return i4q_fail_memory(error);
    bool ok = find(statistics, name, k, tail, groups, data, error);
    free(name);
    return ok;
}

/* The target and the shift, of numbers that can be computed with. */
static bool find_aim(const struct i4q_statistics *statistics, const char *weight, size_t channels, size_t k,
                     float limit, struct i4q_moments *moments, struct i4q_error *error)
{
    size_t rows = channels, one = 1;
    if (!find_named(statistics, weight, "target", k, 1, &rows, &moments->target, error) ||
        !find_named(statistics, weight, "shift", channels, 1, &one, &moments->shift, error))
        return false;
    if (!are_within(moments->target, channels * k, limit) || !are_within(moments->shift, channels, limit))
        return i4q_fail(error, I4Q_MODEL, "'%s|target' or its shift has a number beyond %g", weight,
                        (double)limit);
    return true;
}

static bool find_moments(const struct i4q_statistics *statistics, const char *weight, size_t channels,
                         size_t k, float limit, struct i4q_moments *moments, struct i4q_error *error)
{
    size_t groups = 0;
    *moments = (struct i4q_moments){.k = k};
    if (!find_named(statistics, weight, "mu", k, 1, &groups, &moments->mean, error))
        return false;
    if (moments->mean && !find_named(statistics, weight, "H", k, 2, &groups, &moments->second, error))
        return false;
    moments->groups = groups ? groups : 1;
    if (channels % moments->groups)
        return i4q_fail(error, I4Q_MODEL, "'%s|mu' has %zu groups, which do not divide %zu channels", weight,
                        groups, channels);
    return !moments->mean || find_aim(statistics, weight, channels, k, limit, moments, error);
}

bool i4q_statistics_find(const struct i4q_statistics *statistics, const char *weight, size_t channels,
                         size_t k, float limit, struct i4q_moments *moments, struct i4q_error *error)
{
    if (find_moments(statistics, weight, channels, k, limit, moments, error))
        return true;
    if (error->code == I4Q_MODEL)
        error->file = statistics->path;
    return false;
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/spread.h"

#include <math.h>
#include <string.h>

static const char SUFFIX[] = "|hist";

bool i4q_statistics_have_spreads(const struct i4q_statistics *statistics)
{
    const char *key;
    json_t *entry;
    json_object_foreach(statistics->header, key, entry)
    {
        size_t length = strlen(key);
        if (length > strlen(SUFFIX) && strcmp(key + length - strlen(SUFFIX), SUFFIX) == 0)
            return true;
    }
    return false;
}

static bool read_tensors(const struct i4q_statistics *statistics, const char *value,
                         struct i4q_histogram *histogram, struct i4q_error *error)
{
    size_t dims[2] = {0}, low = 0, high = 0;
    *histogram = (struct i4q_histogram){0};
    if (!i4q_statistics_tensor(statistics, value, "hist", "U32", 2, dims, &histogram->counts, error) ||
        !i4q_statistics_tensor(statistics, value, "lo", "F32", 1, &low, &histogram->low, error) ||
        !i4q_statistics_tensor(statistics, value, "hi", "F32", 1, &high, &histogram->high, error))
        return false;
    if (histogram->counts && (low != dims[0] || high != dims[0]))
        return i4q_fail(error, I4Q_MODEL,
                        "'%s|hist' has %zu channels, its ends '|lo' and '|hi' have %zu and %zu", value,
                        dims[0], low, high);
    histogram->channels = dims[0];
    histogram->bins = dims[1];
    return true;
}

static bool check_ends(const struct i4q_histogram *histogram, const char *value, double limit,
                       struct i4q_error *error)
{
    for (size_t c = 0; c < histogram->channels; c++) {
        double low = i4q_histogram_low(histogram, c), high = i4q_histogram_high(histogram, c);
        if (!(low <= high && low >= -limit && high <= limit))
            return i4q_fail(error, I4Q_MODEL, "'%s|hist': channel %zu reaches from %g to %g", value, c, low,
                            high);
    }
    return i4q_histogram_counts(histogram) || i4q_fail(error, I4Q_MODEL, "'%s|hist' counts nothing", value);
}

bool i4q_statistics_spread(const struct i4q_statistics *statistics, const char *value, double limit,
                           struct i4q_histogram *histogram, struct i4q_error *error)
{
    bool ok = read_tensors(statistics, value, histogram, error) &&
              (!histogram->channels || check_ends(histogram, value, limit, error));
    if (!ok && error->code == I4Q_MODEL)
        error->file = statistics->path;
    return ok;
}

// SPDX-License-Identifier: Apache-2.0
/* A file of calibration statistics: what is found for a weight lies within the file and can be computed with,
 * or one line says what is wrong. */
#include "fuzz.h"

#include "plan/spread.h"

#include <math.h>
#include <stdlib.h>

/* Weights [channels, k] with kernels of one axis. */
static const struct {
    size_t channels, k;
    int64_t kernel;
} weights[] = {{4, 2, 1}, {4, 9, 9}, {6, 9, 3}, {1, 1, 1}};

enum { MAX_K = 9 };

static void require_within(struct i4q_view bytes, const void *data, size_t size)
{
    const uint8_t *first = data;
    REQUIRE(first >= bytes.data && size <= bytes.size && first <= bytes.data + bytes.size - size);
}

static void check(struct i4q_view bytes, const struct i4q_moments *moments, size_t channels, size_t k)
{
    double a[MAX_K * MAX_K];
    REQUIRE(moments->k == k && moments->groups && channels % moments->groups == 0);
    require_within(bytes, moments->mean, moments->groups * k * sizeof(float));
    for (size_t i = 0; i < moments->groups * k; i++)
        (void)i4q_moments_mean(moments, i / k, i % k);
    if (moments->target)
        require_within(bytes, moments->target, channels * k * sizeof(float));
    for (size_t i = 0; i < channels; i++)
        REQUIRE(isfinite(i4q_moments_shift(moments, i)));
    if (!moments->second)
        return;
    require_within(bytes, moments->second, moments->groups * k * k * sizeof(float));
    for (size_t group = 0; group < moments->groups; group++)
        if (i4q_moments_covariance(moments, group, 1, a))
            for (size_t i = 0; i < k * k; i++)
                REQUIRE(isfinite(a[i]));
}

static void check_range(const struct i4q_histogram *histogram, const float *factors,
                        struct i4q_range_choice choice)
{
    struct i4q_range range;
    if (!i4q_range_find(histogram, factors, &choice, &range))
        return; /* no memory */
    REQUIRE(isfinite(range.scale) && range.scale > 0 && range.bits == choice.bits);
    REQUIRE(range.zero >= 0 && range.zero < 1 << range.bits);
    double loss = i4q_range_loss(histogram, factors, &range);
    REQUIRE(isfinite(loss) && loss >= 0);
    for (size_t c = 0; c < histogram->channels; c++)
        REQUIRE(isfinite(i4q_range_shift(histogram, factors, c, &range)));
}

/* The type of the values is told by the file. */
static bool is_half(struct i4q_view bytes)
{
    return bytes.data[bytes.size - 1] & 1;
}

/* Some rule and width, by the file. */
static void check_histogram(struct i4q_view bytes, const struct i4q_histogram *histogram)
{
    require_within(bytes, histogram->counts, histogram->channels * histogram->bins * sizeof(uint32_t));
    float *factors = calloc(histogram->channels, sizeof *factors);
    uint8_t pick = bytes.data[bytes.size - 1];
    size_t rules = 0;
    while (i4q_range_word(rules))
        rules++;
    const struct i4q_range_choice choice = {(enum i4q_range_rule)(pick % rules), 4 + pick / 8 % 5,
                                            is_half(bytes)};
    check_range(histogram, NULL, choice);
    if (factors && i4q_range_factors(histogram, pick % 3, factors)) {
        for (size_t c = 0; c < histogram->channels; c++)
            REQUIRE(factors[c] >= 1 / 16.0f && factors[c] <= 16);
        check_range(histogram, factors, choice);
    }
    free(factors);
}

static void check_spread(const struct i4q_statistics *statistics, struct i4q_view bytes)
{
    struct i4q_histogram histogram;
    struct i4q_error cause = {0};
    if (!i4q_statistics_spread(statistics, "t", is_half(bytes) ? 60000 : 0x1p100, &histogram, &cause))
        REQUIRE_OK(cause.code == I4Q_MODEL && *cause.message, cause);
    else if (histogram.channels) {
        REQUIRE(i4q_statistics_have_spreads(statistics));
        check_histogram(bytes, &histogram);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_statistics statistics;
    struct i4q_view bytes = {data, size};
    struct i4q_error error = {0};
    if (!i4q_statistics_read(&statistics, bytes, &error)) {
        REQUIRE_OK(error.code == I4Q_MODEL && *error.message, error);
        return 0;
    }
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        struct i4q_moments moments;
        struct i4q_error cause = {0};
        if (!i4q_statistics_find(&statistics, "w", weights[i].channels, weights[i].k, 0x1p100f, &moments,
                                 &cause)) {
            REQUIRE_OK(cause.code == I4Q_MODEL && *cause.message, cause);
        } else if (moments.mean) {
            moments.shrinkage = i4q_moments_shrinkage(statistics.images, i % 2);
            moments.rank = 1;
            moments.kernel[0] = weights[i].kernel;
            check(bytes, &moments, weights[i].channels, weights[i].k);
        }
    }
    check_spread(&statistics, bytes);
    i4q_statistics_close(&statistics);
    return 0;
}

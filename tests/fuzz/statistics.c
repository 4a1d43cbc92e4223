// SPDX-License-Identifier: Apache-2.0
/* A file of calibration statistics: what is found for a weight lies within the file and can be computed with,
 * or one line says what is wrong. */
#include "fuzz.h"

#include "plan/statistics.h"

#include <math.h>

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
    i4q_statistics_close(&statistics);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "quantize/moments.h"

#include "base/elementary.h"
#include "platform/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

static const double DAMPING = 1e-4, LEAST_DAMPING = 1e-12;

enum { ROWS = 64 }; /* of a matrix, that a thread takes */

struct build {
    const struct i4q_moments *moments;
    size_t group, kernel; /* elements of an input channel */
    double shrink, mean_variance;
    double *a;
    atomic_bool finite;
};

static double load(const void *numbers, size_t i)
{
    float number;
    memcpy(&number, (const char *)numbers + i * sizeof number, sizeof number);
    return (double)number;
}

static size_t kernel_size(const struct i4q_moments *moments)
{
    size_t size = 1;
    for (size_t axis = 0; axis < moments->rank; axis++)
        size *= (size_t)moments->kernel[axis];
    return size;
}

/* What input i of a group is divided by. */
static double factor(const struct i4q_moments *moments, size_t kernel, size_t group, size_t i)
{
    return moments->factors ? (double)moments->factors[group * (moments->k / kernel) + i / kernel] : 1;
}

float i4q_moments_mean(const struct i4q_moments *moments, size_t group, size_t i)
{
    return (float)(load(moments->mean, group * moments->k + i) /
                   factor(moments, kernel_size(moments), group, i));
}

float i4q_moments_shift(const struct i4q_moments *moments, size_t channel)
{
    return moments->shift ? (float)load(moments->shift, channel) : 0;
}

static double covariance(const struct build *build, size_t row, size_t column)
{
    const struct i4q_moments *m = build->moments;
    double measured = load(m->second, (build->group * m->k + row) * m->k + column) -
                      load(m->mean, build->group * m->k + row) * load(m->mean, build->group * m->k + column);
    return m->factors ? measured / (factor(m, build->kernel, build->group, row) *
                                    factor(m, build->kernel, build->group, column))
                      : measured;
}

/* Mean of the diagonal over `count` inputs from `first` on. */
static double mean_variance(const struct build *build, size_t first, size_t count)
{
    double sum = 0;
    for (size_t i = first; i < first + count; i++)
        sum += covariance(build, i, i);
    return sum / (double)count;
}

double i4q_kernel_distance(const int64_t *dims, size_t rank, size_t p, size_t q)
{
    double sum = 0;
    for (size_t axis = rank; axis-- > 0;) {
        size_t size = (size_t)dims[axis];
        double step = (double)(p % size) - (double)(q % size);
        sum += step * step;
        p /= size;
        q /= size;
    }
    return sqrt(sum);
}

/* What the model of independent channels adds, within the channel that starts at `first`. */
static void add_prior(const struct build *build, size_t row, size_t first)
{
    double variance = (mean_variance(build, first, build->kernel) + build->mean_variance) / 2;
    for (size_t column = first; column <= row; column++)
        build->a[row * build->moments->k + column] +=
            build->shrink * variance *
            i4q_exp2(-i4q_kernel_distance(build->moments->kernel, build->moments->rank, row - first,
                                          column - first));
}

/* Rows of the lower triangle. */
static void fill_rows(void *context, size_t chunk)
{
    struct build *build = context;
    size_t k = build->moments->k, end = (chunk + 1) * ROWS < k ? (chunk + 1) * ROWS : k;
    for (size_t row = chunk * ROWS; row < end; row++) {
        double *a = build->a + row * k, sum = 0;
        for (size_t column = 0; column <= row; column++) {
            a[column] = (1 - build->shrink) * covariance(build, row, column);
            sum += a[column];
        }
        if (!isfinite(sum))
            atomic_store(&build->finite, false);
        add_prior(build, row, row - row % build->kernel);
    }
}

static void damp_and_mirror(double *a, size_t k)
{
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        sum += a[i * k + i];
    for (size_t i = 0; i < k; i++) {
        a[i * k + i] += DAMPING * sum / (double)k + LEAST_DAMPING;
        for (size_t j = 0; j < i; j++)
            a[j * k + i] = a[i * k + j];
    }
}

double i4q_moments_shrinkage(size_t images, bool blocks)
{
    double most = 0.3, least = 0.1, enough = 8;
    return images <= 1 || blocks      ? most
           : (double)images >= enough ? least
                                      : most - (most - least) * (double)(images - 1) / (enough - 1);
}

bool i4q_moments_covariance(const struct i4q_moments *moments, size_t group, unsigned threads, double *a)
{
    struct build build = {.moments = moments,
                          .group = group,
                          .kernel = kernel_size(moments),
                          .shrink = moments->shrinkage,
                          .a = a,
                          .finite = true};
    build.mean_variance = mean_variance(&build, 0, moments->k);
    i4q_parallel_for(threads, (moments->k + ROWS - 1) / ROWS, fill_rows, &build);
    damp_and_mirror(a, moments->k);
    return build.finite;
}

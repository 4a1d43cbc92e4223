// SPDX-License-Identifier: Apache-2.0
/* The covariance of inputs against the formula of moments.h, number by number. */
#include "testing.h"

#include "quantize/moments.h"

#include <math.h>

enum { GROUPS = 2, CHANNELS = 3, KERNEL = 6, K = CHANNELS * KERNEL };

/* Moments of some inputs that vary together, one byte off any alignment. */
struct sample {
    char mean[GROUPS * K * sizeof(float) + 1], second[GROUPS * K * K * sizeof(float) + 1];
    float factors[GROUPS * CHANNELS];
    struct i4q_moments moments;
};

static float number(const char *bytes, size_t i)
{
    float value;
    memcpy(&value, bytes + 1 + i * sizeof value, sizeof value);
    return value;
}

static void put(char *bytes, size_t i, float value)
{
    memcpy(bytes + 1 + i * sizeof value, &value, sizeof value);
}

static void make(struct sample *sample)
{
    for (size_t i = 0; i < GROUPS * K; i++)
        put(sample->mean, i, (float)(i % 7) - 2);
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++)
                put(sample->second, (g * K + i) * K + j,
                    (i == j ? 30 + (float)i : 0) + 1 / (1 + fabsf((float)i - (float)j)) +
                        (float)(g + i * j % 5));
    for (size_t i = 0; i < GROUPS * CHANNELS; i++)
        sample->factors[i] = 0.5f + (float)i;
    sample->moments = (struct i4q_moments){.mean = sample->mean + 1,
                                           .second = sample->second + 1,
                                           .groups = GROUPS,
                                           .k = K,
                                           .shrinkage = 0.25,
                                           .rank = 2,
                                           .kernel = {2, 3}};
}

/* Entry (i, j) of C, of the inputs as they are divided. */
static double measured(const struct sample *sample, size_t group, size_t i, size_t j)
{
    double c = (double)number(sample->second, (group * K + i) * K + j) -
               (double)number(sample->mean, group * K + i) * (double)number(sample->mean, group * K + j);
    const float *factors = sample->moments.factors;
    return factors ? c / (double)factors[group * CHANNELS + i / KERNEL] /
                         (double)factors[group * CHANNELS + j / KERNEL]
                   : c;
}

static double variance(const struct sample *sample, size_t group, size_t first, size_t count)
{
    double sum = 0;
    for (size_t i = first; i < first + count; i++)
        sum += measured(sample, group, i, i) / (double)count;
    return sum;
}

/* (1 - s) C + s blockdiag_c(v_c B), without d I */
static double drawn(const struct sample *sample, size_t group, size_t i, size_t j)
{
    double s = sample->moments.shrinkage, c = (1 - s) * measured(sample, group, i, j);
    if (i / KERNEL != j / KERNEL)
        return c;
    double own = variance(sample, group, i / KERNEL * KERNEL, KERNEL), all = variance(sample, group, 0, K);
    double rows = (double)(i % KERNEL / 3) - (double)(j % KERNEL / 3),
           columns = (double)(i % 3) - (double)(j % 3);
    return c + s * (own + all) / 2 * exp2(-hypot(rows, columns));
}

static void check_covariance(const struct sample *sample, size_t group)
{
    double a[K * K], trace = 0;
    assert_true(i4q_moments_covariance(&sample->moments, group, 1, a));
    for (size_t i = 0; i < K; i++)
        trace += drawn(sample, group, i, i);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            double expected =
                drawn(sample, group, i < j ? j : i, i < j ? i : j) + (i == j ? 1e-4 * trace / (double)K : 0);
            assert_true(fabs(a[i * K + j] - expected) < 1e-10 * trace);
            assert_true(a[i * K + j] == a[j * K + i]);
        }
}

static void covariance_is_the_formula(void **state)
{
    (void)state;
    struct sample sample;
    make(&sample);
    for (size_t group = 0; group < GROUPS; group++)
        check_covariance(&sample, group);
    sample.moments.factors = sample.factors;
    for (size_t group = 0; group < GROUPS; group++)
        check_covariance(&sample, group);
}

static void means_are_those_of_divided_inputs(void **state)
{
    (void)state;
    struct sample sample;
    make(&sample);
    assert_true(i4q_moments_mean(&sample.moments, 1, 5) == number(sample.mean, K + 5));
    sample.moments.factors = sample.factors;
    for (size_t i = 0; i < K; i++)
        assert_true(i4q_moments_mean(&sample.moments, 1, i) ==
                    number(sample.mean, K + i) / sample.factors[CHANNELS + i / KERNEL]);
}

static void inputs_that_never_vary_leave_a_positive_diagonal(void **state)
{
    (void)state;
    static const float mean[] = {3, -1}, second[] = {9, -3, -3, 1};
    const struct i4q_moments moments = {
        .mean = mean, .second = second, .groups = 1, .k = 2, .shrinkage = 0.1};
    double a[4];
    assert_true(i4q_moments_covariance(&moments, 0, 1, a));
    assert_true(a[0] > 0 && a[3] > 0 && a[1] == 0 && a[2] == 0);
}

static void what_is_not_finite_is_told(void **state)
{
    (void)state;
    struct sample sample;
    double a[K * K];
    make(&sample);
    put(sample.second, (K + 9) * K + 2, NAN); /* below the diagonal of group 1 */
    assert_true(i4q_moments_covariance(&sample.moments, 0, 1, a));
    assert_false(i4q_moments_covariance(&sample.moments, 1, 1, a));
    make(&sample);
    put(sample.mean, 3, INFINITY);
    assert_false(i4q_moments_covariance(&sample.moments, 0, 1, a));
}

static void threads_change_nothing(void **state)
{
    (void)state;
    enum { MANY = 150 }; /* more rows than two threads take at a time */
    float *second = malloc((MANY + 1) * MANY * sizeof *second), *mean = second + MANY * MANY;
    double *one = malloc(2 * MANY * MANY * sizeof *one), *more = one + MANY * MANY;
    for (size_t i = 0; i < (MANY + 1) * MANY; i++)
        second[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-24f;
    const struct i4q_moments moments = {
        .mean = mean, .second = second, .groups = 1, .k = MANY, .shrinkage = 0.3, .rank = 1, .kernel = {5}};
    assert_true(i4q_moments_covariance(&moments, 0, 1, one));
    for (unsigned threads = 2; threads < 5; threads++) {
        assert_true(i4q_moments_covariance(&moments, 0, threads, more));
        assert_memory_equal(more, one, MANY * MANY * sizeof *one);
    }
    free(second);
    free(one);
}

static void distances_are_those_of_positions(void **state)
{
    (void)state;
    static const int64_t dims[] = {2, 3, 4};
    assert_true(i4q_kernel_distance(dims, 0, 0, 0) == 0);
    assert_true(i4q_kernel_distance(dims, 1, 0, 1) == 1);
    assert_true(i4q_kernel_distance(dims, 2, 0, 5) == sqrt(5));   /* (0, 0) and (1, 2) */
    assert_true(i4q_kernel_distance(dims, 3, 23, 0) == sqrt(14)); /* (1, 2, 3) and the origin */
    assert_true(i4q_kernel_distance(dims, 3, 4, 15) == sqrt(11)); /* (0, 1, 0) and (1, 0, 3) */
}

static void few_images_are_drawn_far(void **state)
{
    (void)state;
    assert_true(i4q_moments_shrinkage(0, false) == 0.3 && i4q_moments_shrinkage(1, false) == 0.3);
    assert_true(fabs(i4q_moments_shrinkage(4, false) - (0.3 - 0.2 * 3 / 7)) < 1e-15);
    assert_true(i4q_moments_shrinkage(8, false) == 0.1 && i4q_moments_shrinkage(SIZE_MAX, false) == 0.1);
    assert_true(i4q_moments_shrinkage(8, true) == 0.3);
}

static void a_target_may_shift_the_bias(void **state)
{
    (void)state;
    static const float shift[] = {0.5f, -2};
    struct i4q_moments moments = {0};
    assert_true(i4q_moments_shift(&moments, 1) == 0);
    moments.shift = shift;
    assert_true(i4q_moments_shift(&moments, 1) == -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(covariance_is_the_formula),
        cmocka_unit_test(means_are_those_of_divided_inputs),
        cmocka_unit_test(inputs_that_never_vary_leave_a_positive_diagonal),
        cmocka_unit_test(what_is_not_finite_is_told),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(distances_are_those_of_positions),
        cmocka_unit_test(few_images_are_drawn_far),
        cmocka_unit_test(a_target_may_shift_the_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

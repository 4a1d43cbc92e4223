// SPDX-License-Identifier: Apache-2.0
/* Scattered channels get the scales, zero points and codes that they get when they lie together. */
#include "testing.h"

#include "base/half.h"
#include "quantize/quantize.h"

#include <math.h>

static const struct i4q_method methods[] = {
    {"absmax", I4Q_SCALE_ABSMAX, false, I4Q_ROUND_NEAREST, false},
    {"signed", I4Q_SCALE_SIGNED, false, I4Q_ROUND_NEAREST, false},
    {"range", I4Q_SCALE_RANGE, true, I4Q_ROUND_NEAREST, false},
    {"mse", I4Q_SCALE_MSE, true, I4Q_ROUND_NEAREST, false},
};

enum { METHODS = sizeof methods / sizeof *methods };

static const size_t sizes[][3] = {{2, 1, 1},    {3, 5, 1},  {257, 67, 1}, {701, 131, 1}, {33, 66, 4},
                                  {65, 129, 9}, {5, 3, 33}, {4, 7, 300},  {3, 2, 5001}};

enum { SIZES = sizeof sizes / sizeof *sizes };

/* A weight twice: scattered, and with each channel in one run. */
struct pair {
    size_t outer, channels, inner, count;
    uint8_t *weights[2], *codes[2], *zero_points[2];
    uint8_t *scales[2];
    struct i4q_quantize_job jobs[2];
};

/* Where element i of the scattered weight stands when channels lie together. */
static size_t moved(const struct pair *pair, size_t i)
{
    size_t place = i / pair->inner / pair->channels * pair->inner + i % pair->inner;
    return i / pair->inner % pair->channels * (pair->outer * pair->inner) + place;
}

static void put(uint8_t *weights, size_t i, float value, bool half)
{
    uint16_t narrow = i4q_half_from_float(value);
    memcpy(weights + i * (half ? sizeof narrow : sizeof value), half ? (void *)&narrow : &value,
           half ? sizeof narrow : sizeof value);
}

static void make(struct pair *pair, const size_t size[3], const struct i4q_format *format,
                 const struct i4q_method *method, bool half)
{
    *pair = (struct pair){
        .outer = size[0], .channels = size[1], .inner = size[2], .count = size[0] * size[1] * size[2]};
    for (int j = 0; j < 2; j++) {
        pair->weights[j] = malloc(pair->count * sizeof(float));
        pair->codes[j] = malloc(pair->count);
        memset(pair->codes[j], 0xa5, pair->count); /* codes may lie anywhere, zero points in zeros */
        pair->zero_points[j] = calloc(pair->channels, 1);
        pair->scales[j] = calloc(pair->channels, sizeof(float));
        pair->jobs[j] = (struct i4q_quantize_job){.outer = j ? 1 : pair->outer,
                                                  .channels = pair->channels,
                                                  .inner = j ? pair->outer * pair->inner : pair->inner,
                                                  .half = half,
                                                  .asymmetric = method->asymmetric,
                                                  .format = format,
                                                  .method = method,
                                                  .weights = pair->weights[j],
                                                  .codes = pair->codes[j],
                                                  .scales = pair->scales[j]};
        pair->jobs[j].zero_points = method->asymmetric ? pair->zero_points[j] : NULL;
    }
    for (size_t i = 0; i < pair->count; i++) {
        float value = ((float)((uint32_t)i * 2654435761u >> 8) - 0x1p22f) * 0x1p-20f;
        put(pair->weights[0], i, value, half);
        put(pair->weights[1], moved(pair, i), value, half);
    }
}

static void drop(struct pair *pair)
{
    for (int j = 0; j < 2; j++) {
        free(pair->weights[j]);
        free(pair->codes[j]);
        free(pair->zero_points[j]);
        free(pair->scales[j]);
    }
}

static void quantize(struct pair *pair, const char *set, unsigned threads)
{
    struct i4q_error error = {0};
    const struct i4q_quantize_options options = {.kernels = i4q_kernels_choose(set, &error),
                                                 .threads = threads};
    assert_true(i4q_quantize(&options, pair->jobs, 2, &error));
}

static void check_pair(const struct pair *pair)
{
    const struct i4q_quantize_job *jobs = pair->jobs;
    const struct i4q_format *format = jobs[0].format;
    assert_true(jobs[0].finite && jobs[1].finite);
    assert_memory_equal(pair->scales[0], pair->scales[1], i4q_job_scale_bytes(&jobs[0]));
    assert_memory_equal(pair->zero_points[0], pair->zero_points[1], pair->channels);
    for (size_t i = 0; i < pair->count; i++)
        assert_int_equal(i4q_format_load(format, pair->codes[0], i),
                         i4q_format_load(format, pair->codes[1], moved(pair, i)));
    unsigned used = (unsigned)(pair->count * format->bits % 8); /* of the last byte */
    assert_true(!used || pair->codes[0][pair->count * format->bits / 8] >> used == 0);
    assert_true(jobs[0].max_error == jobs[1].max_error && fabs(jobs[0].sqnr_db - jobs[1].sqnr_db) < 1e-4);
    assert_int_equal(jobs[0].clipped, jobs[1].clipped);
    assert_true(isnan(jobs[0].drift)); /* nobody adds it up */
}

static void every_format_as_if_they_lay_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++)
        for (const struct i4q_format *format = i4q_formats; format->name; format++) {
            struct pair pair;
            make(&pair, sizes[i], format, methods, false);
            quantize(&pair, NULL, 3);
            check_pair(&pair);
            drop(&pair);
        }
}

static void every_scale_as_if_they_lay_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++)
        for (size_t m = 0; m < METHODS; m++)
            for (int half = 0; half < 2; half++) {
                struct pair pair;
                make(&pair, sizes[i], i4q_formats, &methods[m], half);
                quantize(&pair, NULL, 3);
                check_pair(&pair);
                drop(&pair);
            }
}

static void threads_and_kernels_change_nothing(void **state)
{
    (void)state;
    struct pair one, other;
    make(&one, sizes[3], i4q_formats, &methods[2], false);
    make(&other, sizes[3], i4q_formats, &methods[2], false);
    quantize(&one, "scalar", 1);
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++)
        for (unsigned threads = 1; threads < 6 && i4q_kernels_supported(*set); threads += 2) {
            memset(other.zero_points[0], 0, other.channels);
            memset(other.zero_points[1], 0, other.channels);
            quantize(&other, (*set)->name, threads);
            assert_memory_equal(other.codes[0], one.codes[0], i4q_job_code_bytes(&one.jobs[0]));
            assert_memory_equal(other.zero_points[0], one.zero_points[0], one.channels);
            assert_true(other.jobs[0].sqnr_db == one.jobs[0].sqnr_db);
        }
    drop(&one);
    drop(&other);
}

static void what_is_not_finite_is_told(void **state)
{
    (void)state;
    for (size_t m = 0; m < METHODS; m++) {
        struct pair pair;
        make(&pair, sizes[4], i4q_formats, &methods[m], false);
        put(pair.weights[0], pair.count - 1, -INFINITY, false);
        quantize(&pair, NULL, 2);
        assert_false(pair.jobs[0].finite);
        assert_true(pair.jobs[1].finite);
        drop(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_as_if_they_lay_together),
        cmocka_unit_test(every_scale_as_if_they_lay_together),
        cmocka_unit_test(threads_and_kernels_change_nothing),
        cmocka_unit_test(what_is_not_finite_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/half.h"
#include "quantize/quantize.h"

#include <math.h>

enum { MAX_BYTES = 1 << 20 };

static const struct i4q_kernels *kernels(const char *name)
{
    struct i4q_error error = {0};
    const struct i4q_kernels *set = i4q_kernels_choose(name, &error);
    assert_non_null(set);
    return set;
}

static void run(const char *set, unsigned threads, struct i4q_quantize_job *jobs, size_t count)
{
    struct i4q_error error = {0};
    const struct i4q_quantize_options options = {.kernels = kernels(set), .threads = threads};
    assert_true(i4q_quantize(&options, jobs, count, &error));
}

static void rows_of_odd_length(void **state)
{
    (void)state;
    /* absmax 7, 0.7, 0 and one so small that the division underflows */
    static const float weights[] = {7, -3.5f, 1, 0.7f, -0.1f, 0.35f, 0, -0.0f, 0, 0x1p-149f, 0, -0x1p-149f};
    uint8_t codes[6];
    float scales[4];
    struct i4q_quantize_job job = {.weights = weights,
                                   .outer = 1,
                                   .channels = 4,
                                   .inner = 3,
                                   .format = i4q_formats,
                                   .method = i4q_methods,
                                   .codes = codes,
                                   .scales = scales};
    run("scalar", 1, &job, 1);
    assert_true(job.finite);
    assert_true(scales[0] == 1.0f && scales[1] == 0.7f / 7.0f && scales[2] == 1.0f && scales[3] == 1.0f);
    /* 7 -4 1 | 7 -1 q | 0 0 0 | 0 0 0 with q = rint(0.35 / (0.7 / 7)), a near tie that binary32 decides */
    int q = (int)rintf(0.35f / (0.7f / 7.0f));
    const uint8_t expected[] = {0xc7, 0x71, (uint8_t)(0x0f | q << 4), 0, 0, 0};
    assert_memory_equal(codes, expected, sizeof expected);
    assert_true(fabs((double)job.max_error - 0.5) < 0.01);
}

static void all_zero_and_exact_weights_have_no_sqnr(void **state)
{
    (void)state;
    static const float zeros[5] = {0}, exact[] = {7, -7, 1, 2, 3};
    uint8_t codes[3];
    float scale;
    struct i4q_quantize_job job = {.weights = zeros,
                                   .outer = 1,
                                   .channels = 1,
                                   .inner = 5,
                                   .format = i4q_formats,
                                   .method = i4q_methods,
                                   .codes = codes,
                                   .scales = &scale};
    run(NULL, 1, &job, 1);
    assert_true(isnan(job.sqnr_db) && job.max_error == 0 && scale == 1);
    job.weights = exact;
    run(NULL, 1, &job, 1);
    assert_true(isinf(job.sqnr_db) && scale == 1);
    assert_memory_equal(codes, "\x97\x21\x03", 3);
}

static void sqnr_is_in_decibel(void **state)
{
    (void)state;
    static const float weights[] = {7, 0.25f}; /* decoded as 7 and 0 */
    uint8_t code;
    float scale;
    struct i4q_quantize_job job = {.weights = weights,
                                   .outer = 1,
                                   .channels = 1,
                                   .inner = 2,
                                   .format = i4q_formats,
                                   .method = i4q_methods,
                                   .codes = &code,
                                   .scales = &scale};
    run(NULL, 1, &job, 1);
    assert_true(fabs(job.sqnr_db - 10 * log10((49 + 0.0625) / 0.0625)) < 1e-12);
    assert_true(job.max_error == 0.25f);
}

static void half_weights(void **state)
{
    (void)state;
    /* 1, -0.5 | the smallest subnormal, whose scale would be 0 | 0, 0 */
    static const uint16_t weights[] = {0x3c00, 0xb800, 0x0001, 0x0000, 0x0000, 0x8000};
    uint8_t codes[3];
    uint16_t scales[3];
    struct i4q_quantize_job job = {.weights = weights,
                                   .half = true,
                                   .outer = 1,
                                   .channels = 3,
                                   .inner = 2,
                                   .format = i4q_formats,
                                   .method = i4q_methods,
                                   .codes = codes,
                                   .scales = scales};
    run(NULL, 1, &job, 1);
    assert_int_equal(scales[0], i4q_half_from_float(1.0f / 7.0f));
    assert_int_equal(scales[1], 0x0001);
    assert_int_equal(scales[2], 0x3c00);
    float scale = i4q_half_to_float(scales[0]);
    int low = (int)rintf(1.0f / scale), high = (int)rintf(-0.5f / scale);
    assert_int_equal(codes[0], (low & 15) | (high & 15) << 4);
    assert_int_equal(codes[1], 0x01);
    assert_int_equal(codes[2], 0x00);
}

static void what_is_not_finite_is_told(void **state)
{
    (void)state;
    static float good[] = {1, 2, 3}, bad[40000];
    static uint8_t codes[2][20000];
    static float scales[2][2];
    struct i4q_quantize_job jobs[] = {{.weights = good,
                                       .outer = 1,
                                       .channels = 1,
                                       .inner = 3,
                                       .format = i4q_formats,
                                       .method = i4q_methods,
                                       .codes = codes[0],
                                       .scales = scales[0]},
                                      {.weights = bad,
                                       .outer = 1,
                                       .channels = 2,
                                       .inner = 20000,
                                       .format = i4q_formats,
                                       .method = i4q_methods,
                                       .codes = codes[1],
                                       .scales = scales[1]}};
    bad[39999] = NAN;
    run(NULL, 2, jobs, 2);
    assert_true(jobs[0].finite);
    assert_false(jobs[1].finite);
    bad[39999] = 0;
    bad[0] = -INFINITY;
    run(NULL, 2, jobs, 2);
    assert_false(jobs[1].finite);
}

/* The shapes of a job that make chunks and tiles end in odd places. */
static const struct shape {
    size_t rows, columns;
    bool half;
} shapes[] = {{1, 1, false},    {3, 9, false},    {7, 4097, false}, {2, 50001, false}, {999, 27, false},
              {64, 576, false}, {5, 12289, true}, {3, 3, true},     {1, 100003, false}};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static const struct i4q_method methods[] = {
    {"absmax", I4Q_SCALE_ABSMAX, false, I4Q_ROUND_NEAREST, false},
    {"range", I4Q_SCALE_RANGE, true, I4Q_ROUND_NEAREST, false},
    {"mse", I4Q_SCALE_MSE, false, I4Q_ROUND_NEAREST, false},
    {"l2.4", I4Q_SCALE_L24, true, I4Q_ROUND_SQUANT, false},
};

static uint8_t *outputs(const char *set, unsigned threads, const struct i4q_method *method,
                        const void *weights, struct i4q_quantize_job jobs[SHAPES])
{
    uint8_t *bytes = calloc(MAX_BYTES, 1), *at = bytes;
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = &shapes[i];
        size_t codes = i4q_format_bytes(i4q_formats, shape->rows * shape->columns);
        jobs[i] = (struct i4q_quantize_job){.weights = (const char *)weights + 1, /* aligned to nothing */
                                            .half = shape->half,
                                            .outer = 1,
                                            .channels = shape->rows,
                                            .inner = shape->columns,
                                            .format = i4q_formats,
                                            .method = method,
                                            .codes = at,
                                            .scales = at + codes};
        at += codes + shape->rows * (shape->half ? 2 : 4);
        jobs[i].asymmetric = method->asymmetric;
        jobs[i].zero_points = method->asymmetric ? at : NULL;
        at += (shape->rows + 1) / 2;
    }
    assert_true(at < bytes + MAX_BYTES);
    run(set, threads, jobs, SHAPES);
    return bytes;
}

static void threads_and_kernels_change_nothing_by(const struct i4q_method *method, const void *weights)
{
    static const unsigned threads[] = {1, 2, 5};
    struct i4q_quantize_job expected[SHAPES], jobs[SHAPES];
    uint8_t *reference = outputs("scalar", 1, method, weights, expected);
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++) {
        for (size_t t = 0; t < sizeof threads / sizeof *threads && i4q_kernels_supported(*set); t++) {
            uint8_t *bytes = outputs((*set)->name, threads[t], method, weights, jobs);
            assert_memory_equal(bytes, reference, MAX_BYTES);
            for (size_t i = 0; i < SHAPES; i++) {
                assert_true(jobs[i].finite && expected[i].finite);
                assert_memory_equal(&jobs[i].sqnr_db, &expected[i].sqnr_db, sizeof jobs[i].sqnr_db);
                assert_true(jobs[i].max_error == expected[i].max_error);
                assert_int_equal(jobs[i].clipped, expected[i].clipped);
            }
            free(bytes);
        }
    }
    free(reference);
}

static void threads_and_kernels_change_nothing(void **state)
{
    (void)state;
    static uint8_t weights[4 * 100003 + 8];
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof weights; i++) {
        seed = seed * 1664525 + 1013904223;
        weights[i] = (uint8_t)(seed >> 24 & 0x3f); /* exponents that keep FLOAT and FLOAT16 finite */
    }
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        threads_and_kernels_change_nothing_by(&methods[i], weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_odd_length),
        cmocka_unit_test(all_zero_and_exact_weights_have_no_sqnr),
        cmocka_unit_test(sqnr_is_in_decibel),
        cmocka_unit_test(half_weights),
        cmocka_unit_test(what_is_not_finite_is_told),
        cmocka_unit_test(threads_and_kernels_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

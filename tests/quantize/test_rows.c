// SPDX-License-Identifier: Apache-2.0
/* Whole rows: what their codes do to the bias, blocks that do not divide, rows that are not finite. */
#include "testing.h"

#include "quantize/quantize.h"
#include "quantize/rows.h"

#include <math.h>

static const struct i4q_method nearest = {"nearest", I4Q_SCALE_ABSMAX, false, I4Q_ROUND_NEAREST, false},
                               squant = {"squant", I4Q_SCALE_MSE, true, I4Q_ROUND_SQUANT, false},
                               descent = {"descent", I4Q_SCALE_MSE, false, I4Q_ROUND_DESCENT, false},
                               gptq = {"gptq", I4Q_SCALE_MSE, true, I4Q_ROUND_GPTQ, false},
                               estimate = {"estimate", I4Q_SCALE_MSE, false, I4Q_ROUND_ESTIMATE, false};

enum { CHANNELS = 36, INNER = 27, GROUPS = 2, BLOCK = 10, BLOCKS = 3, COUNT = CHANNELS * INNER };

struct sample {
    float weights[COUNT], target[COUNT], mean[GROUPS * INNER], second[GROUPS * INNER * INNER];
    float scales[CHANNELS * BLOCKS];
    uint8_t codes[COUNT], zero_points[CHANNELS * BLOCKS];
    double bias[CHANNELS];
    struct i4q_moments moments;
    struct i4q_quantize_job job;
};

static float next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return (float)(*seed >> 8) * 0x1p-23f - 1;
}

static void make(struct sample *sample, const struct i4q_method *method, size_t block)
{
    uint32_t seed = 3;
    memset(sample, 0, sizeof *sample);
    for (size_t i = 0; i < COUNT; i++) {
        sample->weights[i] = next(&seed);
        sample->target[i] = sample->weights[i] + 0.1f * next(&seed);
    }
    for (size_t i = 0; i < GROUPS * INNER; i++)
        sample->mean[i] = next(&seed);
    for (size_t i = 0; i < GROUPS * INNER * INNER; i++) {
        size_t row = i / INNER % INNER, column = i % INNER;
        sample->second[i] = row == column ? 4 : 1 / (1 + fabsf((float)row - (float)column));
    }
    sample->moments = (struct i4q_moments){.mean = sample->mean,
                                           .second = sample->second,
                                           .groups = GROUPS,
                                           .k = INNER,
                                           .shrinkage = 0.1,
                                           .rank = 2,
                                           .kernel = {3, 3}};
    sample->job = (struct i4q_quantize_job){.format = i4q_formats,
                                            .outer = 1,
                                            .channels = CHANNELS,
                                            .inner = INNER,
                                            .block = block,
                                            .asymmetric = method->asymmetric,
                                            .method = method,
                                            .weights = sample->weights,
                                            .codes = sample->codes,
                                            .scales = sample->scales,
                                            .kernel = 9,
                                            .groups = GROUPS,
                                            .moments = &sample->moments,
                                            .bias = sample->bias};
    sample->job.zero_points = method->asymmetric ? sample->zero_points : NULL;
}

static void quantize(struct sample *sample, const char *set, unsigned threads)
{
    struct i4q_error error = {0};
    const struct i4q_quantize_options options = {.kernels = i4q_kernels_choose(set, &error),
                                                 .threads = threads};
    assert_true(i4q_quantize(&options, &sample->job, 1, &error));
}

/* What the code of weight i stands for, by its definition. */
static double decoded(const struct sample *sample, size_t i)
{
    const struct i4q_quantize_job *job = &sample->job;
    size_t scale = i / INNER * i4q_job_blocks(job) + (job->block ? i % INNER / job->block : 0);
    int zero = job->asymmetric ? i4q_format_load(job->format, sample->zero_points, scale) : 0;
    return (double)((float)(i4q_format_load(job->format, sample->codes, i) - zero) * sample->scales[scale]);
}

/* sum (wanted - decoded) E[x] of a channel */
static double mean_error(const struct sample *sample, const float *wanted, size_t channel)
{
    const float *mean = sample->mean + channel / (CHANNELS / GROUPS) * INNER;
    double sum = 0;
    for (size_t i = 0; i < INNER; i++)
        sum += ((double)wanted[channel * INNER + i] - decoded(sample, channel * INNER + i)) * (double)mean[i];
    return sum;
}

static const struct i4q_method *const methods[] = {&nearest, &squant, &descent, &gptq, &estimate};

enum { METHODS = sizeof methods / sizeof *methods };

static void the_bias_gains_the_mean_error(void **state)
{
    (void)state;
    static struct sample sample;
    for (size_t m = 0; m < METHODS; m++)
        for (size_t block = 0; block <= BLOCK; block += BLOCK) {
            make(&sample, methods[m], block);
            quantize(&sample, NULL, 2);
            assert_true(sample.job.finite);
            for (size_t c = 0; c < CHANNELS; c++)
                assert_true(fabs(sample.bias[c] - mean_error(&sample, sample.weights, c)) < 1e-6);
        }
}

/* The figures of a job are of its weights, whatever the codes come near. */
static void figures_are_those_of_the_weights(void **state)
{
    (void)state;
    static struct sample sample;
    for (size_t m = 0; m < METHODS; m++) {
        double signal = 0, noise = 0, drift = 0, worst = 0;
        make(&sample, methods[m], 0);
        quantize(&sample, NULL, 1);
        for (size_t c = 0; c < CHANNELS; c++, drift = 0) {
            for (size_t i = c * INNER; i < (c + 1) * INNER; i++) {
                double error = (double)sample.weights[i] - decoded(&sample, i);
                signal += (double)sample.weights[i] * (double)sample.weights[i];
                noise += error * error;
                drift += error / (double)sample.scales[c];
            }
            worst = fmax(worst, fabs(drift));
        }
        assert_true(fabs(sample.job.signal / signal - 1) < 1e-5 && fabs(sample.job.noise / noise - 1) < 1e-5);
        assert_true(fabs(sample.job.drift - worst) < 1e-4);
    }
}

static void codes_come_near_the_target(void **state)
{
    (void)state;
    static struct sample sample, other;
    make(&sample, &descent, 0);
    sample.moments.target = sample.target;
    quantize(&sample, NULL, 1);
    for (size_t c = 0; c < CHANNELS; c++)
        assert_true(fabs(sample.bias[c] - mean_error(&sample, sample.target, c)) < 1e-6);
    make(&other, &descent, 0); /* whose weights are the target */
    other.job.weights = sample.target;
    quantize(&other, NULL, 1);
    assert_memory_equal(sample.codes, other.codes, sizeof sample.codes);
    sample.weights[5] = NAN; /* found, though the target is finite */
    quantize(&sample, NULL, 1);
    assert_false(sample.job.finite);
}

/* e^T A e of all rows, for the codes as they were written. */
static double output_noise(const struct sample *sample)
{
    static double a[INNER * INNER];
    double sum = 0, e[INNER];
    for (size_t c = 0; c < CHANNELS; c++) {
        assert_true(i4q_moments_covariance(&sample->moments, c / (CHANNELS / GROUPS), 1, a));
        for (size_t i = 0; i < INNER; i++)
            e[i] = (double)sample->weights[c * INNER + i] - decoded(sample, c * INNER + i);
        for (size_t i = 0; i < INNER * INNER; i++)
            sum += e[i / INNER] * a[i] * e[i % INNER];
    }
    return sum;
}

static void the_estimate_is_of_what_is_written(void **state)
{
    (void)state;
    static struct sample sample;
    static const struct i4q_method *const by_moments[] = {&descent, &gptq, &estimate};
    for (size_t m = 0; m < 3; m++)
        for (size_t block = 0; block <= BLOCK; block += BLOCK) {
            make(&sample, by_moments[m], block);
            quantize(&sample, NULL, 2);
            assert_true(fabs(sample.job.output_noise / output_noise(&sample) - 1) < 1e-4);
        }
}

static void moments_make_outputs_better(void **state)
{
    (void)state;
    static struct sample sample;
    make(&sample, &estimate, BLOCK);
    quantize(&sample, NULL, 1);
    double before = sample.job.output_noise, signal = sample.job.output_signal;
    assert_true(before > 0 && before < signal);
    make(&sample, &descent, BLOCK);
    quantize(&sample, NULL, 1);
    assert_true(sample.job.output_noise < 0.9 * before);
    assert_true(fabs(sample.job.output_signal / signal - 1) < 1e-12);
    assert_true(sample.job.moved > 0);
}

static void threads_and_kernels_change_nothing(void **state)
{
    (void)state;
    static struct sample one, other;
    for (size_t m = 0; m < METHODS; m++) {
        make(&one, methods[m], BLOCK);
        quantize(&one, "scalar", 1);
        for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++)
            if (i4q_kernels_supported(*set)) {
                make(&other, methods[m], BLOCK);
                quantize(&other, (*set)->name, 3);
                assert_memory_equal(other.codes, one.codes, sizeof one.codes);
                assert_memory_equal(other.scales, one.scales, sizeof one.scales);
                assert_memory_equal(other.zero_points, one.zero_points, sizeof one.zero_points);
                assert_memory_equal(other.bias, one.bias, sizeof one.bias);
                assert_true(other.job.output_noise == one.job.output_noise);
            }
    }
}

/* Its row is left to whoever loads it; the others get the codes that they get without it. */
static void a_row_that_is_not_finite_harms_no_other(void **state)
{
    (void)state;
    static struct sample sample;
    static int8_t good[COUNT], bad[COUNT];
    struct i4q_error error = {0};
    struct i4q_output_error output = {0};
    const struct i4q_kernels *kernels = i4q_kernels_choose("scalar", &error);
    make(&sample, &gptq, 0);
    assert_true(i4q_choose_job(kernels, 2, &sample.job, good, &output, &error));
    sample.weights[20 * INNER + 3] = INFINITY;
    assert_true(i4q_choose_job(kernels, 2, &sample.job, bad, &output, &error));
    assert_memory_equal(bad, good, 20 * INNER);
    assert_memory_equal(bad + 21 * INNER, good + 21 * INNER, (CHANNELS - 21) * INNER);
    assert_true(isfinite(output.noise) && isfinite(output.signal));
    quantize(&sample, NULL, 1);
    assert_false(sample.job.finite);
}

static void moments_that_are_not_finite_are_told(void **state)
{
    (void)state;
    static struct sample sample;
    static int8_t codes[COUNT];
    struct i4q_error error = {0};
    struct i4q_output_error output = {0};
    make(&sample, &descent, 0);
    sample.second[INNER * INNER + 1 * INNER] = NAN; /* of the second group */
    assert_false(i4q_choose_job(i4q_kernels_choose(NULL, &error), 2, &sample.job, codes, &output, &error));
    assert_failed(error, I4Q_MODEL, "not finite");
}

static void only_what_needs_rows_goes_by_rows(void **state)
{
    (void)state;
    static struct sample sample;
    make(&sample, &nearest, 0);
    assert_true(i4q_choose_by_rows(&sample.job)); /* for the bias */
    sample.job.bias = NULL;
    assert_false(i4q_choose_by_rows(&sample.job));
    sample.job.method = &gptq;
    assert_true(i4q_choose_by_rows(&sample.job) && i4q_choose_by_moments(&sample.job));
    sample.moments.second = NULL;
    assert_false(i4q_choose_by_moments(&sample.job));
    sample.job.outer = 2;
    assert_false(i4q_choose_by_rows(&sample.job));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bias_gains_the_mean_error),
        cmocka_unit_test(figures_are_those_of_the_weights),
        cmocka_unit_test(codes_come_near_the_target),
        cmocka_unit_test(the_estimate_is_of_what_is_written),
        cmocka_unit_test(moments_make_outputs_better),
        cmocka_unit_test(threads_and_kernels_change_nothing),
        cmocka_unit_test(a_row_that_is_not_finite_harms_no_other),
        cmocka_unit_test(moments_that_are_not_finite_are_told),
        cmocka_unit_test(only_what_needs_rows_goes_by_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

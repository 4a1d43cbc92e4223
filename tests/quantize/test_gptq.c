// SPDX-License-Identifier: Apache-2.0
/* Codes that keep outputs, against what their definitions say: GPTQ by solving for the errors still free,
 * descent by trying every other code. */
#include "testing.h"

#include "quantize/gptq.h"

#include <math.h>

/* Rows of weights with inputs that vary together. Sizes go beyond a batch of rows and a panel of the matrix.
 */
struct sample {
    struct i4q_moments moments;
    struct i4q_reconstruction work;
    float *second, *mean, *weights;
    struct i4q_grid *grids;
    int8_t *codes, *start;
    double *a; /* [k, k], what the errors are weighed by */
};

static float next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return (float)(*seed >> 8) * 0x1p-23f - 1;
}

/* second = X^T X / n, of inputs of which each has much of the one before it. */
static void draw_inputs(struct sample *sample, size_t k, uint32_t *seed)
{
    float *x = malloc(k * sizeof *x);
    memset(sample->second, 0, k * k * sizeof *sample->second);
    memset(sample->mean, 0, k * sizeof *sample->mean);
    for (size_t n = 0; n < 2 * k; n++) {
        for (size_t i = 0; i < k; i++)
            x[i] = next(seed) + (i ? 0.8f * x[i - 1] : 0);
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j < k; j++)
                sample->second[i * k + j] += x[i] * x[j] / (float)(2 * k);
    }
    free(x);
}

static void make(struct sample *sample, size_t rows, size_t k, size_t block)
{
    uint32_t seed = (uint32_t)(rows * 1000 + k);
    size_t blocks = (k + block - 1) / block;
    struct i4q_error error = {0};
    *sample = (struct sample){.second = malloc((k + 1) * k * sizeof(float)),
                              .weights = malloc(rows * k * sizeof(float)),
                              .grids = malloc(rows * blocks * sizeof(struct i4q_grid)),
                              .codes = malloc(2 * rows * k),
                              .a = malloc(k * k * sizeof(double))};
    sample->mean = sample->second + k * k;
    sample->start = sample->codes + rows * k;
    draw_inputs(sample, k, &seed);
    sample->moments = (struct i4q_moments){
        .mean = sample->mean, .second = sample->second, .groups = 1, .k = k, .shrinkage = 0.1};
    assert_true(i4q_moments_covariance(&sample->moments, 0, 1, sample->a));
    for (size_t i = 0; i < rows * blocks; i++)
        sample->grids[i] = (struct i4q_grid){0.11f + 0.02f * next(&seed), (int)(i % 3), -8, 7};
    for (size_t i = 0; i < rows * k; i++) {
        sample->weights[i] = next(&seed);
        sample->start[i] = (int8_t)(4 * next(&seed));
    }
    memcpy(sample->codes, sample->start, rows * k);
    sample->work = (struct i4q_reconstruction){.kernels = i4q_kernels_choose("scalar", &error),
                                               .threads = 1,
                                               .moments = &sample->moments,
                                               .rows = rows,
                                               .k = k,
                                               .weights = sample->weights,
                                               .block = block,
                                               .grids = sample->grids,
                                               .codes = sample->codes};
}

static void drop(struct sample *sample)
{
    free(sample->second);
    free(sample->weights);
    free(sample->grids);
    free(sample->codes);
    free(sample->a);
}

static const struct i4q_grid *grid_of(const struct sample *sample, size_t row, size_t j)
{
    size_t k = sample->work.k, block = sample->work.block;
    return &sample->grids[row * ((k + block - 1) / block) + j / block];
}

static double error_of(const struct sample *sample, const int8_t *codes, size_t row, size_t j)
{
    const struct i4q_grid *grid = grid_of(sample, row, j);
    size_t i = row * sample->work.k + j;
    return (double)sample->weights[i] - (double)grid->scale * (codes[i] - grid->zero);
}

/* v^T A v */
static double power(const struct sample *sample, const double *v)
{
    size_t k = sample->work.k;
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++)
            sum += v[i] * sample->a[i * k + j] * v[j];
    return sum;
}

/* e^T A e of a row */
static double noise_of(const struct sample *sample, const int8_t *codes, size_t row)
{
    double *e = malloc(sample->work.k * sizeof *e), noise;
    for (size_t j = 0; j < sample->work.k; j++)
        e[j] = error_of(sample, codes, row, j);
    noise = power(sample, e);
    free(e);
    return noise;
}

static double noise_of_all(const struct sample *sample, const int8_t *codes)
{
    double sum = 0;
    for (size_t row = 0; row < sample->work.rows; row++)
        sum += noise_of(sample, codes, row);
    return sum;
}

/* x[n - 1] of the solution of A[:n, :n] x = b by elimination; b is overwritten. */
static double solve_last(const struct sample *sample, size_t n, double *b)
{
    double *m = malloc(n * n * sizeof *m);
    for (size_t i = 0; i < n; i++)
        memcpy(m + i * n, sample->a + i * sample->work.k, n * sizeof *m);
    for (size_t p = 0; p < n; p++)
        for (size_t i = p + 1; i < n; i++) {
            double times = m[i * n + p] / m[p * n + p];
            for (size_t j = p; j < n; j++)
                m[i * n + j] -= times * m[p * n + j];
            b[i] -= times * b[p];
        }
    double x = b[n - 1] / m[n * n - 1];
    free(m);
    return x;
}

/* The codes of GPTQ: from the last weight on, the errors that are fixed ask those still free for the errors
 * that make e^T A e least, and the weight takes the code nearest to that. */
static void gptq_of_row(const struct sample *sample, size_t row, int8_t *codes)
{
    size_t k = sample->work.k;
    double *b = malloc(k * sizeof *b);
    for (size_t j = k; j-- > 0;) {
        const struct i4q_grid *grid = grid_of(sample, row, j);
        for (size_t i = 0; i <= j; i++) {
            b[i] = 0;
            for (size_t f = j + 1; f < k; f++)
                b[i] -= sample->a[i * k + f] * error_of(sample, codes, row, f);
        }
        double wanted = (double)sample->weights[row * k + j] - solve_last(sample, j + 1, b);
        double code = rint(wanted / (double)grid->scale) + grid->zero;
        codes[row * k + j] = (int8_t)fmin(fmax(code, grid->low), grid->high);
    }
    free(b);
}

/* No other code of any weight makes the error of its row less. */
static void check_local_optimum(const struct sample *sample)
{
    int8_t *codes = sample->codes;
    for (size_t i = 0; i < sample->work.rows * sample->work.k; i++) {
        double noise = noise_of(sample, codes, i / sample->work.k);
        int8_t chosen = codes[i];
        for (int code = -8; code <= 7; code++) {
            codes[i] = (int8_t)code;
            assert_true(noise_of(sample, codes, i / sample->work.k) >= noise * (1 - 1e-9));
        }
        codes[i] = chosen;
    }
}

static struct i4q_output_error reconstruct(struct sample *sample, bool gptq, bool descend)
{
    struct i4q_output_error output = {0};
    struct i4q_error error = {0};
    sample->work.gptq = gptq;
    sample->work.descend = descend;
    memcpy(sample->codes, sample->start, sample->work.rows * sample->work.k);
    assert_true(i4q_reconstruct(&sample->work, &output, &error));
    return output;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

static const struct shape {
    size_t rows, k, block;
} shapes[] = {{1, 1, 1}, {3, 9, 9}, {2, 10, 4}, {17, 5, 5}, {33, 3, 2}, {2, 70, 32}};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static void gptq_makes_up_for_what_is_behind(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        struct sample sample;
        make(&sample, shapes[s].rows, shapes[s].k, shapes[s].block);
        size_t count = sample.work.rows * sample.work.k;
        int8_t *expected = malloc(count);
        for (size_t row = 0; row < sample.work.rows; row++)
            gptq_of_row(&sample, row, expected);
        struct i4q_output_error output = reconstruct(&sample, true, false);
        assert_memory_equal(sample.codes, expected, count);
        assert_true(is_near(output.noise, noise_of_all(&sample, expected)));
        free(expected);
        drop(&sample);
    }
}

static void descent_ends_where_no_code_is_better(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES && shapes[s].k <= 10; s++)
        for (int gptq = 0; gptq < 2; gptq++) {
            struct sample sample;
            make(&sample, shapes[s].rows, shapes[s].k, shapes[s].block);
            double before = reconstruct(&sample, gptq, false).noise;
            double after = reconstruct(&sample, gptq, true).noise;
            assert_true(after <= before);
            check_local_optimum(&sample);
            drop(&sample);
        }
}

static void without_either_only_the_error_is_told(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        struct sample sample;
        struct i4q_error error = {0};
        struct i4q_output_error output = {100, 1000};
        double signal = 0, *w = malloc(shapes[s].k * sizeof *w);
        make(&sample, shapes[s].rows, shapes[s].k, shapes[s].block);
        assert_true(i4q_reconstruct(&sample.work, &output, &error));
        assert_memory_equal(sample.codes, sample.start, sample.work.rows * sample.work.k);
        for (size_t row = 0; row < sample.work.rows; row++) {
            for (size_t j = 0; j < sample.work.k; j++)
                w[j] = (double)sample.weights[row * sample.work.k + j];
            signal += power(&sample, w);
        }
        assert_true(is_near(output.signal, 100 + signal)); /* added to what was there */
        assert_true(is_near(output.noise, 1000 + noise_of_all(&sample, sample.start)));
        free(w);
        drop(&sample);
    }
}

/* Moments that no inputs can have: the last row of the matrix has no factor, so that no code is touched. */
static void a_matrix_without_factor_leaves_gptq_out(void **state)
{
    (void)state;
    struct sample sample;
    make(&sample, 3, 4, 4);
    for (size_t i = 0; i < 4; i++)
        sample.second[i * 4 + 3] = sample.second[3 * 4 + i] = i == 3 ? 0 : 5;
    reconstruct(&sample, true, false);
    assert_memory_equal(sample.codes, sample.start, 12);
    drop(&sample);
}

static void kernels_and_threads_change_nothing(void **state)
{
    (void)state;
    struct sample sample;
    make(&sample, 40, 600, 100); /* several batches, and panels wider than a thread takes */
    size_t count = sample.work.rows * sample.work.k;
    struct i4q_output_error expected = reconstruct(&sample, true, true), output;
    int8_t *codes = malloc(count);
    memcpy(codes, sample.codes, count);
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++)
        if (i4q_kernels_supported(*set)) {
            sample.work.kernels = *set;
            sample.work.threads = 3;
            output = reconstruct(&sample, true, true);
            assert_memory_equal(sample.codes, codes, count);
            assert_true(output.signal == expected.signal && output.noise == expected.noise);
        }
    free(codes);
    drop(&sample);
}

static void what_cannot_be_is_told(void **state)
{
    (void)state;
    struct sample sample;
    struct i4q_output_error output = {0};
    struct i4q_error error = {0};
    make(&sample, 2, 3, 3);
    sample.second[4] = INFINITY;
    assert_false(i4q_reconstruct(&sample.work, &output, &error));
    assert_failed(error, I4Q_MODEL, "the moments of its inputs are not finite");
    error = (struct i4q_error){0};
    sample.work.k = SIZE_MAX / 2 + 1; /* of which the square is no size */
    assert_false(i4q_reconstruct(&sample.work, &output, &error));
    assert_failed(error, I4Q_FAILED, "out of memory");
    drop(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptq_makes_up_for_what_is_behind),
        cmocka_unit_test(descent_ends_where_no_code_is_better),
        cmocka_unit_test(without_either_only_the_error_is_told),
        cmocka_unit_test(a_matrix_without_factor_leaves_gptq_out),
        cmocka_unit_test(kernels_and_threads_change_nothing),
        cmocka_unit_test(what_cannot_be_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

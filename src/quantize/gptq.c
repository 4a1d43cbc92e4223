// SPDX-License-Identifier: Apache-2.0
#include "quantize/gptq.h"

#include "base/checked.h"
#include "platform/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 16, /* rows that a thread works on together: the matrix passes through the cache once for all */
    PANEL = 64, /* rows of the matrix that are factored together */
    COLUMNS = 512,   /* of a panel, that a thread takes */
    MAX_SWEEPS = 20, /* of coordinate descent; few are needed */
};

struct task {
    const struct i4q_reconstruction *work;
    double *a;                        /* [k, k]: the covariance, or its factor R in the upper triangle */
    size_t panel;                     /* first row of the panel in work */
    struct i4q_output_error *outputs; /* of each batch */
    atomic_bool failed;
};

/* ---- A = R^T R, in place */

/* y -= sum over `terms` of the rows above `row`, each with its element of column `row` as factor. */
static void subtract_above(const struct task *task, size_t row, size_t first, size_t terms, size_t column,
                           size_t n)
{
    size_t k = task->work->k;
    task->work->kernels->combine(task->a + row * k + column, n, task->a + first * k + column, k,
                                 task->a + first * k + row, k, terms);
}

/* The square on the diagonal; false when it is not positive definite. */
static bool factor_square(const struct task *task, size_t first, size_t end)
{
    size_t k = task->work->k;
    for (size_t row = first; row < end; row++) {
        double *a = task->a + row * k;
        subtract_above(task, row, 0, row, row, end - row);
        if (!(a[row] > 0))
            return false;
        a[row] = sqrt(a[row]);
        for (size_t column = row + 1; column < end; column++)
            a[column] /= a[row];
    }
    return true;
}

/* Some columns to the right of the square. */
static void factor_columns(void *context, size_t chunk)
{
    const struct task *task = context;
    size_t k = task->work->k, end = task->panel + PANEL, first = end + chunk * COLUMNS;
    size_t n = k - first < COLUMNS ? k - first : COLUMNS;
    for (size_t row = task->panel; row < end; row++) {
        double *a = task->a + row * k;
        subtract_above(task, row, 0, row, first, n);
        for (size_t column = first; column < first + n; column++)
            a[column] /= a[row];
    }
}

static bool factor(struct task *task)
{
    size_t k = task->work->k;
    for (size_t first = 0; first < k; first += PANEL) {
        size_t end = first + PANEL < k ? first + PANEL : k;
        if (!factor_square(task, first, end))
            return false;
        task->panel = first;
        if (end < k)
            i4q_parallel_for(task->work->threads, i4q_div_up(k - end, COLUMNS), factor_columns, task);
    }
    return true;
}

/* ---- rows */

/* A batch of rows: errors and sums are [k, rows], so that the rows are the lanes of vectors. */
struct batch {
    const struct i4q_reconstruction *work;
    const double *a;
    size_t first, rows;
    double *errors; /* w - decoded */
    double *sums;   /* [rows, k] A e, one row after the other */
};

static const struct i4q_grid *grid_of(const struct i4q_reconstruction *work, size_t row, size_t j)
{
    return &work->grids[row * i4q_div_up(work->k, work->block) + j / work->block];
}

/* The code nearest to `steps` from the zero point; `code` if that is no number. */
static int8_t nearest(const struct i4q_grid *grid, double steps, int8_t code)
{
    double wanted = rint(steps) + grid->zero;
    return wanted >= grid->high  ? (int8_t)grid->high
           : wanted <= grid->low ? (int8_t)grid->low
           : wanted == wanted    ? (int8_t)wanted
                                 : code;
}

static double error_of(const struct i4q_reconstruction *work, size_t row, size_t j)
{
    const struct i4q_grid *grid = grid_of(work, row, j);
    return (double)work->weights[row * work->k + j] -
           (double)grid->scale * (work->codes[row * work->k + j] - grid->zero);
}

static void choose_by_gptq(const struct batch *batch)
{
    const struct i4q_reconstruction *work = batch->work;
    size_t k = work->k, n = batch->rows;
    for (size_t j = k; j-- > 0;) {
        const double *r = batch->a + j * k;
        double sums[BATCH] = {0}; /* minus what the errors behind ask for, times R_jj */
        work->kernels->combine(sums, n, batch->errors + (j + 1) * n, n, r + j + 1, 1, k - j - 1);
        for (size_t o = 0; o < n; o++) {
            size_t row = batch->first + o;
            const struct i4q_grid *grid = grid_of(work, row, j);
            int8_t *code = &work->codes[row * k + j];
            double wanted = (double)work->weights[row * k + j] - sums[o] / r[j];
            *code = nearest(grid, wanted / (double)grid->scale, *code);
            batch->errors[j * n + o] = error_of(work, row, j);
        }
    }
}

static void read_errors(const struct batch *batch)
{
    size_t k = batch->work->k, n = batch->rows;
    for (size_t o = 0; o < n; o++)
        for (size_t j = 0; j < k; j++)
            batch->errors[j * n + o] = error_of(batch->work, batch->first + o, j);
}

/* Gives weight j of a row its best code; whether that is another one. */
static bool improve(const struct batch *batch, size_t o, size_t j)
{
    const struct i4q_reconstruction *work = batch->work;
    size_t k = work->k, row = batch->first + o;
    const struct i4q_grid *grid = grid_of(work, row, j);
    const double *a = batch->a + j * k;
    int8_t *code = &work->codes[row * k + j], before = *code;
    double *sums = batch->sums + o * k;
    *code = nearest(grid, before - grid->zero + sums[j] / (a[j] * (double)grid->scale), before);
    if (*code == before)
        return false;
    double change = (double)grid->scale * (*code - before); /* e becomes smaller by that much */
    work->kernels->combine(sums, k, a, k, &change, 1, 1);
    return true;
}

static void descend(const struct batch *batch)
{
    bool active[BATCH];
    size_t left = batch->rows;
    memset(active, true, sizeof active);
    for (int sweep = 0; sweep < MAX_SWEEPS && left; sweep++) {
        bool changed[BATCH] = {false};
        for (size_t j = 0; j < batch->work->k; j++)
            for (size_t o = 0; o < batch->rows; o++)
                if (active[o])
                    changed[o] |= improve(batch, o, j);
        left = 0;
        for (size_t o = 0; o < batch->rows; o++)
            left += active[o] = changed[o];
    }
}

/* The sum of v_j (A v)_j over rows; `sums` has A v, by rows, `v` by columns. */
static double power(const struct batch *batch, const double *v, const double *sums)
{
    double total = 0;
    for (size_t o = 0; o < batch->rows; o++)
        for (size_t j = 0; j < batch->work->k; j++)
            total += v[j * batch->rows + o] * sums[o * batch->work->k + j];
    return total;
}

/* A v of every row, for v [k, rows]. */
static void multiply(const struct batch *batch)
{
    size_t k = batch->work->k, n = batch->rows;
    for (size_t j = 0; j < k; j++) {
        double sums[BATCH] = {0};
        batch->work->kernels->combine(sums, n, batch->errors, n, batch->a + j * k, 1, k);
        for (size_t o = 0; o < n; o++)
            batch->sums[o * k + j] = -sums[o];
    }
}

static struct i4q_output_error estimate(const struct batch *batch)
{
    const struct i4q_reconstruction *work = batch->work;
    size_t k = work->k, n = batch->rows;
    struct i4q_output_error output;
    read_errors(batch);
    output.noise = power(batch, batch->errors, batch->sums);
    for (size_t o = 0; o < n; o++)
        for (size_t j = 0; j < k; j++)
            batch->errors[j * n + o] = (double)work->weights[(batch->first + o) * k + j];
    multiply(batch);
    output.signal = power(batch, batch->errors, batch->sums);
    return output;
}

static void work_on_batch(struct task *task, size_t index, bool gptq)
{
    const struct i4q_reconstruction *work = task->work;
    size_t first = index * BATCH, rows = work->rows - first < BATCH ? work->rows - first : BATCH;
    double *room = calloc(2 * rows * work->k, sizeof *room);
    if (!room) {
        atomic_store(&task->failed, true);
        return;
    }
    struct batch batch = {work, task->a, first, rows, room, room + rows * work->k};
    if (gptq) {
        choose_by_gptq(&batch);
    } else {
        read_errors(&batch);
        multiply(&batch);
        if (work->descend)
            descend(&batch);
        task->outputs[index] = estimate(&batch);
    }
    free(room);
}

static void gptq_batch(void *task, size_t index)
{
    work_on_batch(task, index, true);
}

static void descent_batch(void *task, size_t index)
{
    work_on_batch(task, index, false);
}

static bool for_batches(struct task *task, i4q_chunk_fn *batch)
{
    i4q_parallel_for(task->work->threads, i4q_div_up(task->work->rows, BATCH), batch, task);
    return !task->failed;
}

static bool covariance(struct task *task, struct i4q_error *error)
{
    const struct i4q_reconstruction *work = task->work;
    return i4q_moments_covariance(work->moments, work->group, work->threads, task->a) ||
           i4q_fail(error, I4Q_MODEL, "the moments of its inputs are not finite");
}

/* Where the matrix is not positive definite, GPTQ is left out: descent needs no factor. */
static bool reconstruct(struct task *task, struct i4q_error *error)
{
    if (!covariance(task, error))
        return false;
    if (task->work->gptq) {
        if (factor(task) && !for_batches(task, gptq_batch))
            return i4q_fail_memory(error);
        if (!covariance(task, error))
            return false;
    }
    return for_batches(task, descent_batch) || i4q_fail_memory(error);
}

bool i4q_reconstruct(const struct i4q_reconstruction *work, struct i4q_output_error *output,
                     struct i4q_error *error)
{
    size_t bytes, batches = i4q_div_up(work->rows, BATCH);
    if (!i4q_mul_size(work->k, work->k, &bytes) || !i4q_mul_size(bytes, sizeof(double), &bytes))
        return i4q_fail_memory(error);
    struct task task = {.work = work, .a = malloc(bytes), .outputs = calloc(batches, sizeof *task.outputs)};
    bool ok = task.a && task.outputs ? reconstruct(&task, error) : i4q_fail_memory(error);
    for (size_t i = 0; ok && i < batches; i++) {
        output->signal += task.outputs[i].signal;
        output->noise += task.outputs[i].noise;
    }
    free(task.outputs);
    free(task.a);
    return ok;
}

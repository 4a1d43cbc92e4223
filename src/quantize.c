// SPDX-License-Identifier: Apache-2.0
#include "int4q/quantize.h"

#include "int4q/half.h"
#include "int4q/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE = 4096, /* elements worked on at once: 16 KiB of floats stay in the first-level cache. Even, and a
                  * multiple of I4Q_LANES, so that where a tile ends changes no figure. */
    STAGE = 2 * TILE, /* codes that wait for being packed */
    CHUNK = 1 << 15,  /* elements that a thread takes at least, if the weight has as many */
};

static const float HALF_SMALLEST = 0x1p-24f; /* the smallest positive FLOAT16 */

/* Some rows of one job, quantized by one thread. */
struct chunk {
    struct i4q_quantize_job *job;
    size_t row, rows;
    bool finite;
    struct i4q_error_sums sums;
};

struct work {
    const struct i4q_kernels *kernels;
    struct chunk *chunks;
};

/* Everything that one thread needs at hand; about 57 KiB, on its stack. */
struct bench {
    const struct i4q_kernels *kernels;
    const struct i4q_quantize_job *job;
    float widened[TILE], decoded[TILE];
    int8_t stage[STAGE];
    size_t staged;
    uint8_t *packed; /* where the first staged code goes */
};

/* ---- reading */

/* n <= TILE elements from element `start` on, as binary32. */
static const void *load(struct bench *bench, size_t start, size_t n)
{
    const char *weights = bench->job->weights;
    if (!bench->job->half)
        return weights + start * sizeof(float);
    bench->kernels->widen16(weights + start * sizeof(uint16_t), n, bench->widened);
    return bench->widened;
}

static float row_absmax(struct bench *bench, size_t start)
{
    float largest = 0;
    size_t columns = bench->job->columns, tile = bench->job->half ? TILE : columns;
    for (size_t i = 0; i < columns && isfinite(largest); i += tile) {
        size_t n = columns - i < tile ? columns - i : tile;
        float part = bench->kernels->absmax(load(bench, start + i, n), n);
        largest = part <= largest ? largest : part; /* a NaN is taken over too */
    }
    return largest;
}

/* ---- scale */

static float half_scale(float absmax, float scale)
{
    float rounded = i4q_half_to_float(i4q_half_from_float(scale));
    return rounded != 0 ? rounded : absmax == 0 ? 1 : HALF_SMALLEST;
}

static float row_scale(const struct i4q_quantize_job *job, float absmax)
{
    float scale = absmax / (float)job->format->qmax;
    if (job->half)
        return half_scale(absmax, scale);
    return scale == 0 ? 1 : scale;
}

static void store_scale(const struct i4q_quantize_job *job, size_t row, float scale)
{
    if (job->half) {
        uint16_t half = i4q_half_from_float(scale);
        memcpy((char *)job->scales + row * sizeof half, &half, sizeof half);
    } else {
        memcpy((char *)job->scales + row * sizeof scale, &scale, sizeof scale);
    }
}

/* ---- codes */

/* Packs what is staged; an odd last code waits for its partner unless it is the last of all. */
static void flush(struct bench *bench, bool last)
{
    size_t n = last ? bench->staged : bench->staged - bench->staged % 2;
    bench->kernels->pack4(bench->stage, n, bench->packed);
    bench->packed += n / 2;
    bench->stage[0] = bench->stage[bench->staged - (bench->staged > 0)];
    bench->staged -= n;
}

static void round_to_half(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = i4q_half_to_float(i4q_half_from_float(values[i]));
}

static void quantize_tile(struct bench *bench, size_t start, size_t n, float scale,
                          struct i4q_error_sums *sums)
{
    const struct i4q_kernels *kernels = bench->kernels;
    const void *weights = load(bench, start, n);
    int8_t *codes = bench->stage + bench->staged;
    kernels->quantize(weights, n, scale, bench->job->format->qmax, codes);
    kernels->dequantize(codes, n, scale, 0, bench->decoded);
    if (bench->job->half)
        round_to_half(bench->decoded, n);
    kernels->measure(weights, bench->decoded, n, sums);
    bench->staged += n;
    if (bench->staged > STAGE - TILE)
        flush(bench, false);
}

static bool quantize_row(struct bench *bench, size_t row, struct i4q_error_sums *sums)
{
    const struct i4q_quantize_job *job = bench->job;
    size_t start = row * job->columns;
    float absmax = row_absmax(bench, start);
    if (!isfinite(absmax))
        return false;
    float scale = row_scale(job, absmax);
    store_scale(job, row, scale);
    for (size_t i = 0; i < job->columns; i += TILE)
        quantize_tile(bench, start + i, job->columns - i < TILE ? job->columns - i : TILE, scale, sums);
    return true;
}

static void quantize_chunk(void *context, size_t index)
{
    const struct work *work = context;
    struct chunk *chunk = &work->chunks[index];
    const struct i4q_quantize_job *job = chunk->job;
    struct bench bench;
    bench.kernels = work->kernels;
    bench.job = job;
    bench.staged = 0;
    bench.packed = job->codes + chunk->row * job->columns / 2; /* even: see rows_per_chunk */
    chunk->finite = true;
    for (size_t r = 0; r < chunk->rows && chunk->finite; r++)
        chunk->finite = quantize_row(&bench, chunk->row + r, &chunk->sums);
    flush(&bench, true);
}

/* ---- chunks */

/* An even number of rows, so that every chunk begins with a whole byte of codes. Does not depend on the
 * threads. */
static size_t rows_per_chunk(const struct i4q_quantize_job *job)
{
    size_t rows = CHUNK / job->columns + 1;
    return rows + rows % 2;
}

static size_t count_chunks(const struct i4q_quantize_job *job)
{
    size_t rows = rows_per_chunk(job);
    return job->rows / rows + (job->rows % rows != 0);
}

static void fill_chunks(struct i4q_quantize_job *job, struct chunk *chunks)
{
    size_t step = rows_per_chunk(job);
    for (size_t row = 0; row < job->rows; row += step)
        *chunks++ =
            (struct chunk){.job = job, .row = row, .rows = job->rows - row < step ? job->rows - row : step};
}

/* ---- figures */

static double total(const double lanes[I4Q_LANES])
{
    double sum = 0;
    for (int i = 0; i < I4Q_LANES; i++)
        sum += lanes[i];
    return sum;
}

static void set_figures(struct i4q_quantize_job *job, const struct i4q_error_sums *sums)
{
    double signal = total(sums->signal), noise = total(sums->noise);
    job->max_error = sums->max_error;
    job->sqnr_db = signal == 0 ? NAN : noise == 0 ? INFINITY : 10 * log10(signal / noise);
}

/* Adds up in the order of the chunks, whichever thread did them. */
static const struct chunk *collect(struct i4q_quantize_job *job, const struct chunk *chunk)
{
    struct i4q_error_sums sums = {0};
    job->finite = true;
    for (size_t n = count_chunks(job); n > 0; n--, chunk++) {
        job->finite &= chunk->finite;
        for (int i = 0; i < I4Q_LANES; i++) {
            sums.signal[i] += chunk->sums.signal[i];
            sums.noise[i] += chunk->sums.noise[i];
        }
        sums.max_error = fmaxf(sums.max_error, chunk->sums.max_error);
    }
    set_figures(job, &sums);
    return chunk;
}

bool i4q_quantize(const struct i4q_kernels *kernels, unsigned threads, struct i4q_quantize_job *jobs,
                  size_t count, struct i4q_error *error)
{
    size_t n_chunks = 0;
    for (size_t i = 0; i < count; i++)
        n_chunks += count_chunks(&jobs[i]);
    struct chunk *chunks = calloc(n_chunks + 1, sizeof *chunks);
    if (!chunks)
        return i4q_fail_memory(error);
    struct chunk *next = chunks;
    for (size_t i = 0; i < count; i++) {
        fill_chunks(&jobs[i], next);
        next += count_chunks(&jobs[i]);
    }
    struct work work = {kernels, chunks};
    i4q_parallel_for(threads, n_chunks, quantize_chunk, &work);
    const struct chunk *done = chunks;
    for (size_t i = 0; i < count; i++)
        done = collect(&jobs[i], done);
    free(chunks);
    return true;
}

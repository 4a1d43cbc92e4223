// SPDX-License-Identifier: Apache-2.0
#include "quantize/quantize.h"

#include "base/checked.h"
#include "base/half.h"
#include "platform/threads.h"
#include "quantize/columns.h"
#include "quantize/rows.h"
#include "quantize/scale_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE = I4Q_RUN,   /* elements worked on at once: 16 KiB of floats stay in the first-level cache */
    STAGE = 2 * TILE, /* codes that wait for being packed */
    CHUNK = 1 << 15,  /* elements that a thread takes at least, if the weight has as many */
};

/* Some channels of one job, quantized by one thread. */
struct chunk {
    struct i4q_quantize_job *job;
    size_t channel, channels;
    bool finite, failed; /* failed: for want of memory */
    size_t moved, clipped;
    double drift; /* of the channel that has the largest */
    struct i4q_error_sums sums;
};

struct work {
    const struct i4q_quantize_options *options;
    struct chunk *chunks;
};

/* Everything that one thread needs at hand; about 40 KiB, on its stack. */
struct bench {
    const struct i4q_kernels *kernels;
    const struct i4q_quantize_job *job;
    float widened[TILE], decoded[TILE];
    int8_t stage[STAGE];
    size_t staged;
    uint8_t *written; /* where the first staged code goes */
};

/* ---- reading */

/* n <= TILE elements from element `start` on, as binary32. */
static const void *load(struct bench *bench, size_t start, size_t n)
{
    const char *weights = (const char *)bench->job->weights + start * i4q_job_element(bench->job);
    if (!bench->job->half)
        return weights;
    bench->kernels->widen16(weights, n, bench->widened);
    return bench->widened;
}

/* Extends `extent` by n elements; false if one of them is not finite. */
static bool extend(struct bench *bench, size_t start, size_t n, struct i4q_extent *extent)
{
    for (size_t i = 0; i < n; i += TILE) {
        size_t part = n - i < TILE ? n - i : TILE;
        const void *weights = load(bench, start + i, part);
        float absmax = bench->kernels->absmax(weights, part), min = 0, max = 0;
        if (!isfinite(absmax))
            return false;
        if (i4q_grid_needs_range(bench->job->method))
            bench->kernels->range(weights, part, &min, &max);
        extent->absmax = fmaxf(extent->absmax, absmax);
        extent->min = fminf(extent->min, min);
        extent->max = fmaxf(extent->max, max);
    }
    return true;
}

/* ---- codes */

/* Writes the first n staged codes. */
static void write_codes(struct bench *bench, size_t n)
{
    if (bench->job->format->bits == 4)
        bench->kernels->pack4(bench->stage, n, bench->written);
    else
        memcpy(bench->written, bench->stage, n);
    bench->written += i4q_format_bytes(bench->job->format, n - n % 2);
}

/* Empties the stage; an odd last code waits for its partner unless it is the last of all. */
static void flush(struct bench *bench, bool last)
{
    size_t n = last ? bench->staged : bench->staged - bench->staged % 2;
    int8_t waiting = bench->staged > n ? bench->stage[n] : 0;
    write_codes(bench, n);
    bench->stage[0] = waiting;
    bench->staged -= n;
}

static float error_unit(const struct i4q_grid *grid)
{
    return i4q_error_unit(grid->scale * (float)(grid->high - grid->low));
}

/* Step by step, for what the fused kernel cannot do: FLOAT16, 8 bits, codes that share a byte with those of
 * another run, a scale beyond all measure. */
static void stage_tile(struct bench *bench, const void *weights, size_t n, const struct i4q_grid *grid,
                       struct i4q_error_sums *sums)
{
    const struct i4q_kernels *kernels = bench->kernels;
    int8_t *codes = bench->stage + bench->staged;
    kernels->quantize(weights, n, grid, codes);
    kernels->dequantize(codes, n, grid->scale, grid->zero, bench->decoded);
    if (bench->job->half)
        i4q_half_round(bench->decoded, n);
    kernels->measure(weights, bench->decoded, n, error_unit(grid), sums);
    bench->staged += n;
    if (bench->staged > STAGE - TILE)
        flush(bench, false);
}

static void quantize_tile(struct bench *bench, size_t start, size_t n, const struct i4q_grid *grid,
                          struct i4q_error_sums *sums)
{
    const struct i4q_quantize_job *job = bench->job;
    const void *weights = load(bench, start, n);
    if (job->half || job->format->bits != 4 || n % 2 || bench->staged % 2 ||
        !i4q_encode4_takes(grid->scale)) {
        stage_tile(bench, weights, n, grid, sums);
        return;
    }
    flush(bench, false);
    bench->kernels->encode4(weights, n, grid, bench->written, sums);
    bench->written += n / 2;
}

static void quantize_run(struct bench *bench, size_t start, size_t n, const struct i4q_grid *grid,
                         struct i4q_error_sums *sums)
{
    for (size_t i = 0; i < n; i += TILE)
        quantize_tile(bench, start + i, n - i < TILE ? n - i : TILE, grid, sums);
}

/* A channel of consecutive elements, block by block. */
static bool quantize_channel(struct bench *bench, size_t channel, struct chunk *chunk)
{
    const struct i4q_quantize_job *job = bench->job;
    size_t start = channel * job->inner, block = job->block ? job->block : job->inner;
    size_t index = channel * i4q_job_blocks(job);
    double drift = 0;
    for (size_t i = 0; i < job->inner; i += block, index++) {
        struct i4q_error_sums sums = {0};
        size_t n = job->inner - i < block ? job->inner - i : block;
        struct i4q_extent extent = {0};
        if (!extend(bench, start + i, n, &extent))
            return false;
        struct i4q_grid grid = i4q_grid_choose(job->format, job->method, job->half, &extent);
        i4q_job_store_grid(job, index, &grid);
        quantize_run(bench, start + i, n, &grid, &sums);
        drift += sums.drift / (double)grid.scale;
        i4q_error_add(&chunk->sums, &sums);
    }
    chunk->drift = fmax(chunk->drift, fabs(drift));
    return true;
}

/* ---- channels whose codes are chosen row by row */

static double mean_of(const struct i4q_quantize_job *job, size_t channel, size_t i)
{
    size_t group = channel / (job->channels / job->moments->groups);
    return (double)i4q_moments_mean(job->moments, group, i);
}

/* Writes n chosen codes that share a grid. What they do to the mean of the output, against what they were to
 * come near, goes to the bias; the errors that are told are those of the weights. */
static void emit_tile(struct bench *bench, const struct i4q_row *row, size_t channel, size_t start, size_t n,
                      struct i4q_error_sums *sums)
{
    const struct i4q_quantize_job *job = bench->job;
    const struct i4q_grid *grid = &row->grids[start / row->block];
    const float *weights = row->weights + start;
    memcpy(bench->stage + bench->staged, row->codes + start, n);
    bench->kernels->dequantize(row->codes + start, n, grid->scale, grid->zero, bench->decoded);
    if (job->half)
        i4q_half_round(bench->decoded, n);
    bench->kernels->measure(load(bench, channel * job->inner + start, n), bench->decoded, n, error_unit(grid),
                            sums);
    for (size_t i = 0; job->bias && i < n; i++)
        job->bias[channel] +=
            ((double)weights[i] - (double)bench->decoded[i]) * mean_of(job, channel, start + i);
    bench->staged += n;
    if (bench->staged > STAGE - TILE)
        flush(bench, false);
}

static void emit_row(struct bench *bench, const struct i4q_row *row, size_t channel, struct chunk *chunk)
{
    size_t index = channel * i4q_job_blocks(bench->job);
    double drift = 0;
    for (size_t first = 0; first < row->count; first += row->block, index++) {
        size_t end = row->count - first < row->block ? row->count : first + row->block;
        const struct i4q_grid *grid = &row->grids[first / row->block];
        struct i4q_error_sums sums = {0};
        i4q_job_store_grid(bench->job, index, grid);
        for (size_t start = first; start < end; start += TILE)
            emit_tile(bench, row, channel, start, end - start < TILE ? end - start : TILE, &sums);
        chunk->clipped += i4q_grid_clipped(grid, row->weights + first, end - first);
        drift += sums.drift / (double)grid->scale;
        i4q_error_add(&chunk->sums, &sums);
    }
    chunk->drift = fmax(chunk->drift, fabs(drift));
}

static void quantize_rows(struct bench *bench, struct chunk *chunk)
{
    const struct i4q_quantize_job *job = bench->job;
    struct i4q_chooser chooser;
    chunk->failed = !i4q_chooser_open(&chooser, bench->kernels, job);
    for (size_t c = chunk->channel; c < chunk->channel + chunk->channels; c++) {
        if (chunk->failed || !chunk->finite)
            break;
        chunk->finite = i4q_chooser_load(&chooser, c);
        if (!chunk->finite)
            break;
        i4q_chooser_round(&chooser, job->chosen ? job->chosen + c * job->inner : NULL);
        chunk->moved += i4q_chooser_moved(&chooser);
        emit_row(bench, &chooser.row, c, chunk);
    }
    i4q_chooser_close(&chooser);
}

static void quantize_chunk(void *context, size_t index)
{
    const struct work *work = context;
    struct chunk *chunk = &work->chunks[index];
    const struct i4q_quantize_job *job = chunk->job;
    struct bench bench;
    bench.kernels = work->options->kernels;
    bench.job = job;
    bench.staged = 0;
    bench.written = job->codes + i4q_format_bytes(job->format, chunk->channel * job->inner);
    chunk->finite = true;
    if (i4q_choose_by_rows(job))
        quantize_rows(&bench, chunk);
    else
        for (size_t c = 0; c < chunk->channels && chunk->finite; c++)
            chunk->finite = quantize_channel(&bench, chunk->channel + c, chunk);
    flush(&bench, true);
    if (work->options->done)
        work->options->done(work->options->context, chunk->channels * job->inner * i4q_job_element(job));
}

/* ---- chunks */

/* An even number of channels, so that every chunk begins with a whole byte of codes. Does not depend on the
 * threads. */
static size_t channels_per_chunk(const struct i4q_quantize_job *job)
{
    size_t channels = CHUNK / job->inner + 1;
    return channels + channels % 2;
}

static size_t count_chunks(const struct i4q_quantize_job *job)
{
    return i4q_div_up(job->channels, channels_per_chunk(job));
}

static void fill_chunks(struct i4q_quantize_job *job, struct chunk *chunks)
{
    size_t step = channels_per_chunk(job);
    for (size_t first = 0; first < job->channels; first += step) {
        size_t left = job->channels - first;
        *chunks++ = (struct chunk){.job = job, .channel = first, .channels = left < step ? left : step};
    }
}

/* ---- figures */

/* Adds up in the order of the chunks, whichever thread did them. */
static bool collect(struct i4q_quantize_job *job, const struct chunk *chunks, struct i4q_error *error)
{
    struct i4q_error_sums sums = {0};
    bool failed = false;
    job->finite = true;
    for (size_t i = 0; i < count_chunks(job); i++) {
        failed |= chunks[i].failed;
        job->finite &= chunks[i].finite;
        job->moved += chunks[i].moved;
        job->clipped += chunks[i].clipped;
        job->drift = fmax(job->drift, chunks[i].drift);
        i4q_error_add(&sums, &chunks[i].sums);
    }
    job->signal = sums.signal;
    job->noise = sums.noise;
    job->max_error = sums.max_error;
    job->sqnr_db = i4q_error_sqnr(&sums);
    return !failed || i4q_fail_memory(error);
}

/* Chunks of all these jobs side by side. */
static bool quantize_chunks(const struct i4q_quantize_options *options, struct i4q_quantize_job *const *jobs,
                            size_t count, struct i4q_error *error)
{
    size_t n_chunks = 0;
    for (size_t i = 0; i < count; i++)
        n_chunks += count_chunks(jobs[i]);
    struct chunk *chunks = calloc(n_chunks + 1, sizeof *chunks), *next = chunks;
    if (!chunks)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < count; i++) {
        fill_chunks(jobs[i], next);
        next += count_chunks(jobs[i]);
    }
    struct work work = {options, chunks};
    i4q_parallel_for(options->threads, n_chunks, quantize_chunk, &work);
    bool ok = true;
    next = chunks;
    for (size_t i = 0; ok && i < count; i++) {
        ok = collect(jobs[i], next, error);
        next += count_chunks(jobs[i]);
    }
    free(chunks);
    return ok;
}

/* A weight whose rows are chosen together. */
static bool quantize_by_moments(const struct i4q_quantize_options *options, struct i4q_quantize_job *job,
                                struct i4q_error *error)
{
    job->chosen = calloc(job->channels * job->inner, 1);
    struct i4q_output_error output = {0};
    bool ok = job->chosen || i4q_fail_memory(error);
    ok = ok && i4q_choose_job(options->kernels, options->threads, job, job->chosen, &output, error) &&
         quantize_chunks(options, &job, 1, error);
    job->output_signal = output.signal;
    job->output_noise = output.noise;
    free(job->chosen);
    job->chosen = NULL;
    return ok;
}

/* Whether its chunks are spread over the threads together with those of others. */
static bool is_simple(const struct i4q_quantize_job *job)
{
    return job->outer == 1 && !i4q_choose_by_moments(job);
}

bool i4q_quantize(const struct i4q_quantize_options *options, struct i4q_quantize_job *jobs, size_t count,
                  struct i4q_error *error)
{
    struct i4q_quantize_job **simple = calloc(count + 1, sizeof *simple);
    size_t n_simple = 0;
    if (!simple)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < count; i++)
        if (is_simple(&jobs[i]))
            simple[n_simple++] = &jobs[i];
    bool ok = quantize_chunks(options, simple, n_simple, error);
    for (size_t i = 0; ok && i < count; i++)
        if (jobs[i].outer > 1)
            ok = i4q_quantize_scattered(options, &jobs[i], error);
        else if (!is_simple(&jobs[i]))
            ok = quantize_by_moments(options, &jobs[i], error);
    free(simple);
    return ok;
}

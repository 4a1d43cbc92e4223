// SPDX-License-Identifier: Apache-2.0
#include "int4q/quantize.h"

#include "int4q/checked.h"
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

/* Some channels of one job, quantized by one thread. */
struct chunk {
    struct i4q_quantize_job *job;
    size_t channel, channels;
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
    int8_t stage[STAGE]; /* without zero point */
    size_t staged;
    uint8_t *written; /* where the first staged code goes */
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

/* The largest magnitude of n elements; not finite if one of them is not. */
static float run_absmax(struct bench *bench, size_t start, size_t n)
{
    float largest = 0;
    size_t tile = bench->job->half ? TILE : n;
    for (size_t i = 0; i < n && isfinite(largest); i += tile) {
        size_t part = n - i < tile ? n - i : tile;
        float magnitude = bench->kernels->absmax(load(bench, start + i, part), part);
        largest = magnitude <= largest ? largest : magnitude; /* a NaN is taken over too */
    }
    return largest;
}

/* ---- scale */

static float half_scale(float absmax, float scale)
{
    float rounded = i4q_half_to_float(i4q_half_from_float(scale));
    return rounded != 0 ? rounded : absmax == 0 ? 1 : HALF_SMALLEST;
}

static float scale_of(const struct i4q_quantize_job *job, float absmax)
{
    float scale = absmax / (float)job->format->qmax;
    if (job->half)
        return half_scale(absmax, scale);
    return scale == 0 ? 1 : scale;
}

static float load_scale(const struct i4q_quantize_job *job, size_t index)
{
    uint16_t half;
    float scale;
    if (!job->half) {
        memcpy(&scale, (const char *)job->scales + index * sizeof scale, sizeof scale);
        return scale;
    }
    memcpy(&half, (const char *)job->scales + index * sizeof half, sizeof half);
    return i4q_half_to_float(half);
}

static void store_scale(const struct i4q_quantize_job *job, size_t index, float scale)
{
    if (job->half) {
        uint16_t half = i4q_half_from_float(scale);
        memcpy((char *)job->scales + index * sizeof half, &half, sizeof half);
    } else {
        memcpy((char *)job->scales + index * sizeof scale, &scale, sizeof scale);
    }
}

/* ---- codes */

/* Writes the first n staged codes, with the zero point added to them. */
static void write_codes(struct bench *bench, size_t n)
{
    const struct i4q_format *format = bench->job->format;
    for (size_t i = 0; i < n && format->zero; i++)
        bench->stage[i] = (int8_t)(bench->stage[i] + format->zero);
    if (format->bits == 4)
        bench->kernels->pack4(bench->stage, n, bench->written);
    else
        memcpy(bench->written, bench->stage, n);
    bench->written += i4q_format_bytes(format, n - n % 2);
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

static void quantize_run(struct bench *bench, size_t start, size_t n, float scale,
                         struct i4q_error_sums *sums)
{
    for (size_t i = 0; i < n; i += TILE)
        quantize_tile(bench, start + i, n - i < TILE ? n - i : TILE, scale, sums);
}

/* A channel of consecutive elements, block by block. */
static bool quantize_channel(struct bench *bench, size_t channel, struct i4q_error_sums *sums)
{
    const struct i4q_quantize_job *job = bench->job;
    size_t start = channel * job->inner, block = job->block ? job->block : job->inner;
    size_t index = channel * i4q_quantize_blocks(job);
    for (size_t i = 0; i < job->inner; i += block, index++) {
        size_t n = job->inner - i < block ? job->inner - i : block;
        float absmax = run_absmax(bench, start + i, n);
        if (!isfinite(absmax))
            return false;
        float scale = scale_of(job, absmax);
        store_scale(job, index, scale);
        quantize_run(bench, start + i, n, scale, sums);
    }
    return true;
}

/* ---- channels that are scattered: outer > 1 */

/* The scale of one channel, from all its runs. */
static bool find_scattered_scale(struct bench *bench, size_t channel)
{
    const struct i4q_quantize_job *job = bench->job;
    float largest = 0;
    for (size_t o = 0; o < job->outer && isfinite(largest); o++) {
        float absmax = run_absmax(bench, (o * job->channels + channel) * job->inner, job->inner);
        largest = absmax <= largest ? largest : absmax;
    }
    if (isfinite(largest))
        store_scale(job, channel, scale_of(job, largest));
    return isfinite(largest);
}

/* The codes are written in the order of the elements, so all scales come first. */
static bool quantize_scattered(struct bench *bench, struct i4q_error_sums *sums)
{
    const struct i4q_quantize_job *job = bench->job;
    for (size_t c = 0; c < job->channels; c++)
        if (!find_scattered_scale(bench, c))
            return false;
    for (size_t run = 0; run < job->outer * job->channels; run++)
        quantize_run(bench, run * job->inner, job->inner, load_scale(job, run % job->channels), sums);
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
    bench.written = job->codes + i4q_format_bytes(job->format, chunk->channel * job->inner);
    chunk->finite = true;
    if (job->outer > 1)
        chunk->finite = quantize_scattered(&bench, &chunk->sums);
    for (size_t c = 0; job->outer == 1 && c < chunk->channels && chunk->finite; c++)
        chunk->finite = quantize_channel(&bench, chunk->channel + c, &chunk->sums);
    flush(&bench, true);
}

/* ---- chunks */

size_t i4q_quantize_blocks(const struct i4q_quantize_job *job)
{
    return job->block ? i4q_div_up(job->inner, job->block) : 1;
}

/* An even number of channels, so that every chunk begins with a whole byte of codes. Does not depend on the
 * threads. Scattered channels stay together: their codes interleave. */
static size_t channels_per_chunk(const struct i4q_quantize_job *job)
{
    size_t channels = CHUNK / job->inner + 1;
    return job->outer > 1 ? job->channels : channels + channels % 2;
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

// SPDX-License-Identifier: Apache-2.0
#include "quantize/quantize.h"

#include "base/bits.h"
#include "platform/threads.h"
#include "quantize/columns.h"
#include "quantize/rows.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 1 << 15 }; /* elements that a thread takes at least, if the weight has as many */

/* Some channels of one job, quantized by one thread. */
struct chunk {
    struct i4q_quantize_job *job;
    size_t channel, channels;
    struct i4q_figures figures;
};

struct work {
    const struct i4q_quantize_options *options;
    struct chunk *chunks;
};

/* ---- one chunk */

/* A channel of consecutive elements by their nearest codes, block by block. */
static bool quantize_channel(struct i4q_encoder *encoder, size_t channel, struct i4q_figures *figures)
{
    const struct i4q_quantize_job *job = encoder->job;
    size_t start = channel * job->inner, block = job->block ? job->block : job->inner;
    size_t index = channel * i4q_job_blocks(job);
    double drift = 0;
    for (size_t i = 0; i < job->inner; i += block, index++) {
        struct i4q_error_sums sums = {0};
        size_t n = job->inner - i < block ? job->inner - i : block;
        struct i4q_extent extent = {0};
        if (!i4q_encoder_extend(encoder, start + i, n, &extent))
            return false;
        struct i4q_grid grid = i4q_grid_choose(job->format, job->method, job->half, &extent);
        grid = i4q_job_fit_grid(job, &grid);
        i4q_job_store_grid(job, index, &grid);
        i4q_encoder_round(encoder, start + i, n, &grid, &sums);
        drift += sums.drift / (double)grid.scale;
        i4q_error_add(&figures->sums, &sums);
    }
    figures->drift = fmax(figures->drift, fabs(drift));
    return true;
}

static void quantize_chunk(void *context, size_t index)
{
    const struct work *work = context;
    struct chunk *chunk = &work->chunks[index];
    const struct i4q_quantize_job *job = chunk->job;
    struct i4q_figures *figures = &chunk->figures;
    struct i4q_encoder encoder;
    i4q_encoder_open(&encoder, work->options->kernels, job, chunk->channel * job->inner);
    figures->finite = true;
    if (i4q_choose_by_rows(job))
        i4q_quantize_rows(&encoder, chunk->channel, chunk->channels, figures);
    else
        for (size_t c = 0; c < chunk->channels && figures->finite; c++)
            figures->finite = quantize_channel(&encoder, chunk->channel + c, figures);
    i4q_encoder_close(&encoder);
    if (work->options->done)
        work->options->done(work->options->context, chunk->channels * job->inner * i4q_job_element(job));
}

/* ---- chunks */

/* So many that each chunk begins with a whole byte of codes and of zero points. Does not depend on the
 * threads. */
static size_t channels_per_chunk(const struct i4q_quantize_job *job)
{
    size_t even = i4q_bits_even(job->format->bits);
    return i4q_div_up(CHUNK / job->inner + 1, even) * even;
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

/* Adds up in the order of the chunks, whichever thread did them. */
static bool collect(struct i4q_quantize_job *job, const struct chunk *chunks, struct i4q_error *error)
{
    struct i4q_figures figures = {.finite = true};
    for (size_t i = 0; i < count_chunks(job); i++)
        i4q_figures_add(&figures, &chunks[i].figures);
    return i4q_figures_tell(&figures, job, error);
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
            jobs[i].failed = !(ok = quantize_by_moments(options, &jobs[i], error));
    free(simple);
    return ok;
}

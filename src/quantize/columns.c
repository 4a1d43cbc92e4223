// SPDX-License-Identifier: Apache-2.0
/* Tiles of some rows and some channels are brought together, so that what the kernels see of a channel is one
 * run. The first pass finds the scales, channel by channel; the second writes the codes, row by row. */
#include "quantize/columns.h"

#include "base/bits.h"
#include "platform/threads.h"
#include "quantize/encode.h"
#include "quantize/scale_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUN = 128,             /* elements of a channel in a tile, or one row's where that has more */
    LINE = 16,             /* elements of a row in a tile: those of a line of the cache, or one channel's */
    TILE = RUN * LINE,     /* elements of a tile */
    CHANNELS = 64,         /* that a thread finds scales for; even, since two zero points share a byte */
    CHUNK_CODES = 1 << 15, /* that a thread writes at least */
};

/* Elements start ... start + n - 1 of each run of some rows and channels. */
struct tile {
    size_t row, rows, channel, channels, start, n;
};

struct work {
    const struct i4q_quantize_options *options;
    struct i4q_quantize_job *job;
    size_t tile_rows, tile_channels;
    size_t rows;                /* of a chunk of codes */
    struct i4q_figures *scales; /* CHANNELS channels each */
    struct i4q_figures *codes;
};

/* ---- tiles */

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The tile from this element on, within `rows` rows and `channels` channels. */
static struct tile tile_at(const struct work *work, size_t row, size_t rows, size_t channel, size_t channels,
                           size_t start)
{
    return (struct tile){.row = row,
                         .rows = at_most(rows, work->tile_rows),
                         .channel = channel,
                         .channels = at_most(channels, work->tile_channels),
                         .start = start,
                         .n = at_most(work->job->inner - start, RUN)};
}

static size_t element(const struct i4q_quantize_job *job, const struct tile *tile, size_t row, size_t channel)
{
    return ((tile->row + row) * job->channels + tile->channel + channel) * job->inner + tile->start;
}

/* As binary32, channel by channel. */
static void gather(const struct i4q_kernels *kernels, const struct i4q_quantize_job *job,
                   const struct tile *tile, float *run)
{
    const char *weights = job->weights;
    size_t n = tile->n;
    for (size_t row = 0; row < tile->rows; row++)
        for (size_t c = 0; c < tile->channels; c++) {
            float *to = run + (c * tile->rows + row) * n;
            size_t from = element(job, tile, row, c);
            if (job->half)
                kernels->widen16(weights + from * sizeof(uint16_t), n, to);
            else
                for (size_t i = 0; i < n; i++) /* few: no call for each */
                    memcpy(to + i, weights + (from + i) * sizeof *to, sizeof *to);
        }
}

/* ---- scales */

/* The scales of the channels of one tile, from all rows and elements. */
static bool find_scales(const struct work *work, size_t channel, size_t channels)
{
    struct i4q_quantize_job *job = work->job;
    const struct i4q_kernels *kernels = work->options->kernels;
    struct i4q_extent extents[LINE] = {{0}};
    float runs[TILE];
    bool finite = true;
    for (size_t row = 0; row < job->outer; row += work->tile_rows)
        for (size_t start = 0; start < job->inner; start += RUN) {
            struct tile tile = tile_at(work, row, job->outer - row, channel, channels, start);
            size_t n = tile.rows * tile.n;
            gather(kernels, job, &tile, runs);
            for (size_t c = 0; c < tile.channels; c++)
                finite &= i4q_extent_add(&extents[c], kernels, job->method, runs + c * n, n);
        }
    for (size_t c = 0; finite && c < channels; c++) {
        struct i4q_grid grid = i4q_grid_choose(job->format, job->method, job->half, &extents[c]);
        i4q_job_store_grid(job, channel + c, &grid);
    }
    return finite;
}

/* The scale of one channel by a search, which needs all its elements at once. */
static bool search_scale(const struct work *work, size_t channel, struct i4q_figures *figures)
{
    struct i4q_quantize_job *job = work->job;
    const struct i4q_kernels *kernels = work->options->kernels;
    const struct tile whole = {.rows = job->outer, .channel = channel, .channels = 1, .n = job->inner};
    size_t n = job->outer * job->inner;
    float *run = calloc(n, sizeof *run);
    struct i4q_grid grid;
    figures->failed |= !run;
    if (run)
        gather(kernels, job, &whole, run);
    bool finite = run && i4q_fit_grid(kernels, job->format, job->method, job->half, run, n, &grid);
    if (finite)
        i4q_job_store_grid(job, channel, &grid);
    free(run);
    return finite;
}

static void scale_chunk(void *context, size_t index)
{
    const struct work *work = context;
    size_t end = at_most((index + 1) * CHANNELS, work->job->channels), step = work->tile_channels;
    struct i4q_figures *figures = &work->scales[index];
    figures->finite = true;
    if (i4q_method_searches(work->job->method))
        for (size_t c = index * CHANNELS; c < end && figures->finite; c++)
            figures->finite = search_scale(work, c, figures);
    else
        for (size_t c = index * CHANNELS; c < end && figures->finite; c += step)
            figures->finite = find_scales(work, c, at_most(end - c, step));
}

/* ---- codes */

/* n codes from element `first` on, into zeros: other runs may share the bytes at both ends. */
static void put_codes(const struct i4q_kernels *kernels, const struct i4q_quantize_job *job, size_t first,
                      const int8_t *codes, size_t n)
{
    size_t even = i4q_bits_even(job->format->bits), i = 0;
    for (; i < n && (first + i) % even; i++)
        i4q_format_store(job->format, job->codes, first + i, codes[i]);
    size_t whole = (n - i) - (n - i) % even;
    i4q_encode_pack(kernels, job->format, codes + i, whole,
                    job->codes + i4q_format_bytes(job->format, first + i));
    for (i += whole; i < n; i++)
        i4q_format_store(job->format, job->codes, first + i, codes[i]);
}

/* The codes of a channel's run of a tile, and what they leave. */
static void quantize_run(const struct i4q_kernels *kernels, const struct i4q_quantize_job *job,
                         const struct i4q_grid *grid, const float *run, size_t n, int8_t *codes,
                         struct i4q_error_sums *sums)
{
    float decoded[TILE];
    kernels->quantize(run, n, grid, codes);
    i4q_encode_measure(kernels, job, grid, run, codes, n, decoded, sums);
}

static void code_tile(const struct work *work, const struct tile *tile, struct i4q_figures *figures)
{
    const struct i4q_kernels *kernels = work->options->kernels;
    float runs[TILE];
    int8_t codes[TILE], row_codes[TILE];
    size_t n = tile->n, run = tile->rows * n;
    gather(kernels, work->job, tile, runs);
    for (size_t c = 0; c < tile->channels; c++) {
        struct i4q_grid grid = i4q_job_load_grid(work->job, tile->channel + c);
        quantize_run(kernels, work->job, &grid, runs + c * run, run, codes + c * run, &figures->sums);
        if (i4q_method_searches(work->job->method))
            figures->clipped += i4q_grid_clipped(&grid, runs + c * run, run);
    }
    for (size_t row = 0; row < tile->rows; row++) {
        for (size_t c = 0; c < tile->channels; c++)
            memcpy(row_codes + c * n, codes + c * run + row * n, n);
        put_codes(kernels, work->job, element(work->job, tile, row, 0), row_codes, tile->channels * n);
    }
}

static void code_chunk(void *context, size_t index)
{
    const struct work *work = context;
    const struct i4q_quantize_job *job = work->job;
    size_t end = at_most((index + 1) * work->rows, job->outer);
    work->codes[index].finite = true;
    for (size_t row = index * work->rows; row < end; row += work->tile_rows)
        for (size_t c = 0; c < job->channels; c += work->tile_channels)
            for (size_t start = 0; start < job->inner; start += RUN) {
                struct tile tile = tile_at(work, row, end - row, c, job->channels - c, start);
                code_tile(work, &tile, &work->codes[index]);
            }
    if (work->options->done)
        work->options->done(work->options->context,
                            (end - index * work->rows) * job->channels * job->inner * i4q_job_element(job));
}

/* ---- both passes */

static struct work make_work(const struct i4q_quantize_options *options, struct i4q_quantize_job *job)
{
    size_t even = i4q_bits_even(job->format->bits);
    size_t inner = at_most(job->inner, RUN), rows = CHUNK_CODES / (job->channels * job->inner) + 1;
    struct work work = {.options = options,
                        .job = job,
                        .tile_rows = RUN / inner,
                        .tile_channels = inner < LINE ? LINE / inner : 1};
    work.rows = rows < work.tile_rows ? work.tile_rows : rows;
    work.rows = i4q_div_up(work.rows, even) * even; /* codes share bytes */
    return work;
}

bool i4q_quantize_scattered(const struct i4q_quantize_options *options, struct i4q_quantize_job *job,
                            struct i4q_error *error)
{
    struct work work = make_work(options, job);
    struct i4q_figures total = {.finite = true};
    size_t n_scales = i4q_div_up(job->channels, CHANNELS), n_codes = i4q_div_up(job->outer, work.rows);
    struct i4q_figures *parts = calloc(n_scales + n_codes, sizeof *parts);
    if (!parts)
        return i4q_fail_memory(error);
    work.scales = parts;
    work.codes = parts + n_scales;
    memset(job->codes, 0, i4q_job_code_bytes(job));
    i4q_parallel_for(options->threads, n_scales, scale_chunk, &work);
    for (size_t i = 0; i < n_scales; i++)
        i4q_figures_add(&total, &work.scales[i]);
    if (total.finite)
        i4q_parallel_for(options->threads, n_codes, code_chunk, &work);
    for (size_t i = 0; total.finite && i < n_codes; i++)
        i4q_figures_add(&total, &work.codes[i]);
    total.drift = NAN; /* nobody adds it up */
    free(parts);
    return i4q_figures_tell(&total, job, error);
}

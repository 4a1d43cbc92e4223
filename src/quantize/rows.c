// SPDX-License-Identifier: Apache-2.0
#include "quantize/rows.h"

#include "base/checked.h"
#include "platform/threads.h"
#include "quantize/scale_search.h"
#include "quantize/squant.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- which jobs */

bool i4q_choose_by_moments(const struct i4q_quantize_job *job)
{
    return i4q_method_needs_statistics(job->method) && job->moments && job->moments->second;
}

bool i4q_choose_by_rows(const struct i4q_quantize_job *job)
{
    bool plain = job->method->rounding == I4Q_ROUND_NEAREST && !job->method->asymmetric &&
                 !i4q_method_searches(job->method);
    return job->outer == 1 && (!plain || job->bias);
}

/* ---- one row */

/* One row of a job, and room to work on it. */
struct chooser {
    const struct i4q_kernels *kernels;
    const struct i4q_quantize_job *job;
    void *memory; /* owns what follows */
    float *weights;
    struct i4q_grid *grids;
    int8_t *codes, *nearest;
    struct i4q_squant_room room;
    struct i4q_row row; /* the arrays above */
};

/* False only when memory runs out. To be closed in any case. */
static bool I4Q_MUST_CHECK open_chooser(struct chooser *chooser, const struct i4q_kernels *kernels,
                                        const struct i4q_quantize_job *job)
{
    size_t n = job->inner, blocks = i4q_job_blocks(job), bytes;
    const size_t element = sizeof(double) + 2 * sizeof(uint32_t) + sizeof(float) + 2 * sizeof(int8_t);
    *chooser = (struct chooser){.kernels = kernels, .job = job};
    if (n > UINT32_MAX || !i4q_mul_size(n, element, &bytes) ||
        !i4q_add_size(bytes, blocks * sizeof(struct i4q_grid), &bytes))
        return false;
    chooser->memory = malloc(bytes);
    if (!chooser->memory)
        return false;
    /* In the order of their alignment. */
    chooser->room.errors = chooser->memory;
    chooser->room.heap = (uint32_t *)(chooser->room.errors + n);
    chooser->room.movable = chooser->room.heap + n;
    chooser->weights = (float *)(chooser->room.movable + n);
    chooser->grids = (struct i4q_grid *)(chooser->weights + n);
    chooser->codes = (int8_t *)(chooser->grids + blocks);
    chooser->nearest = chooser->codes + n;
    chooser->row = (struct i4q_row){
        .weights = chooser->weights,
        .count = n,
        .kernel = job->kernel && n % job->kernel == 0 ? job->kernel : 1,
        .block = job->block ? job->block : n,
        .grids = chooser->grids,
        .codes = chooser->codes,
    };
    return true;
}

static void close_chooser(struct chooser *chooser)
{
    free(chooser->memory);
    *chooser = (struct chooser){0};
}

/* What the codes are to come near; false if a weight is not finite. */
static bool read_row(struct chooser *chooser, size_t channel)
{
    const struct i4q_quantize_job *job = chooser->job;
    size_t element = i4q_job_element(job);
    const char *source = (const char *)job->weights + channel * job->inner * element;
    if (job->half)
        chooser->kernels->widen16(source, job->inner, chooser->weights);
    else
        memcpy(chooser->weights, source, job->inner * element);
    bool finite = true;
    if (i4q_choose_by_moments(job) && job->moments->target) {
        size_t size = job->inner * sizeof(float);
        finite = isfinite(chooser->kernels->absmax(chooser->weights, job->inner));
        memcpy(chooser->weights, (const char *)job->moments->target + channel * size, size);
    }
    i4q_job_multiply(job, channel * job->inner, job->inner, chooser->weights);
    return finite;
}

/* Reads a row and chooses its grids; false if a weight is not finite. */
static bool I4Q_MUST_CHECK load_row(struct chooser *chooser, size_t channel)
{
    const struct i4q_quantize_job *job = chooser->job;
    const struct i4q_row *row = &chooser->row;
    if (!read_row(chooser, channel))
        return false;
    for (size_t first = 0, b = 0; first < row->count; first += row->block, b++) {
        size_t n = row->count - first < row->block ? row->count - first : row->block;
        if (!i4q_fit_grid(chooser->kernels, job->format, job->method, job->half, row->weights + first, n,
                          &chooser->grids[b]))
            return false;
        chooser->grids[b] = i4q_job_fit_grid(job, &chooser->grids[b]);
    }
    return true;
}

/* Chooses the codes of the row that was loaded, without moments, or takes `chosen` where that is not NULL. */
static void round_row(struct chooser *chooser, const int8_t *chosen)
{
    const struct i4q_row *row = &chooser->row;
    for (size_t first = 0, b = 0; first < row->count; first += row->block, b++) {
        size_t n = row->count - first < row->block ? row->count - first : row->block;
        chooser->kernels->quantize(row->weights + first, n, &row->grids[b], chooser->nearest + first);
    }
    memcpy(row->codes, chosen ? chosen : chooser->nearest, row->count);
    if (!chosen && chooser->job->method->rounding != I4Q_ROUND_NEAREST)
        i4q_squant(row, &chooser->room);
}

/* How many codes of the row are not the nearest ones. */
static size_t count_moved(const struct chooser *chooser)
{
    size_t moved = 0;
    for (size_t i = 0; i < chooser->row.count; i++)
        moved += chooser->codes[i] != chooser->nearest[i];
    return moved;
}

/* ---- rows on their own */

static double mean_of(const struct i4q_quantize_job *job, size_t channel, size_t i)
{
    size_t group = channel / (job->channels / job->moments->groups);
    return (double)i4q_moments_mean(job->moments, group, i);
}

/* Writes n chosen codes that share a grid. What they do to the mean of the output, against what they were to
 * come near, goes to the bias; the errors that are told are those of the weights. */
static void take_run(struct i4q_encoder *encoder, const struct i4q_row *row, size_t channel, size_t start,
                     size_t n, struct i4q_error_sums *sums)
{
    const struct i4q_quantize_job *job = encoder->job;
    i4q_encoder_take(encoder, channel * job->inner + start, n, &row->grids[start / row->block],
                     row->codes + start, sums);
    for (size_t i = 0; job->bias && i < n; i++)
        job->bias[channel] += ((double)row->weights[start + i] - (double)encoder->decoded[i]) *
                              mean_of(job, channel, start + i);
}

static void take_row(struct i4q_encoder *encoder, const struct i4q_row *row, size_t channel,
                     struct i4q_figures *figures)
{
    size_t index = channel * i4q_job_blocks(encoder->job);
    double drift = 0;
    for (size_t first = 0; first < row->count; first += row->block, index++) {
        size_t end = row->count - first < row->block ? row->count : first + row->block;
        const struct i4q_grid *grid = &row->grids[first / row->block];
        struct i4q_error_sums sums = {0};
        i4q_job_store_grid(encoder->job, index, grid);
        for (size_t start = first; start < end; start += I4Q_RUN)
            take_run(encoder, row, channel, start, end - start < I4Q_RUN ? end - start : I4Q_RUN, &sums);
        figures->clipped += i4q_grid_clipped(grid, row->weights + first, end - first);
        drift += sums.drift / (double)grid->scale;
        i4q_error_add(&figures->sums, &sums);
    }
    figures->drift = fmax(figures->drift, fabs(drift));
}

void i4q_quantize_rows(struct i4q_encoder *encoder, size_t channel, size_t channels,
                       struct i4q_figures *figures)
{
    const struct i4q_quantize_job *job = encoder->job;
    struct chooser chooser;
    figures->failed = !open_chooser(&chooser, encoder->kernels, job);
    for (size_t c = channel; c < channel + channels && !figures->failed && figures->finite; c++) {
        figures->finite = load_row(&chooser, c);
        if (!figures->finite)
            break;
        round_row(&chooser, job->chosen ? job->chosen + c * job->inner : NULL);
        figures->moved += count_moved(&chooser);
        take_row(encoder, &chooser.row, c, figures);
    }
    close_chooser(&chooser);
}

/* ---- all rows of a weight together */

enum { ROWS = 16 }; /* that a thread takes */

struct choice {
    const struct i4q_kernels *kernels;
    unsigned threads;
    const struct i4q_quantize_job *job;
    float *weights; /* [channels, inner] */
    struct i4q_grid *grids;
    int8_t *codes;
    struct i4q_output_error *outputs; /* of each group */
    atomic_bool failed;
    struct i4q_error *error; /* of the first that failed */
};

static void fail(struct choice *choice, const struct i4q_error *error)
{
    if (!atomic_exchange(&choice->failed, true))
        *choice->error = *error;
}

/* The codes that reconstruction starts from. */
static void prepare_rows(void *context, size_t chunk)
{
    struct choice *choice = context;
    const struct i4q_quantize_job *job = choice->job;
    size_t n = job->inner, blocks = i4q_job_blocks(job), end = (chunk + 1) * ROWS;
    struct chooser chooser;
    struct i4q_error error = {0};
    if (!open_chooser(&chooser, choice->kernels, job) && !i4q_fail_memory(&error))
        fail(choice, &error);
    for (size_t row = chunk * ROWS; chooser.memory && row < end && row < job->channels; row++) {
        bool finite = load_row(&chooser, row);
        if (finite)
            round_row(&chooser, NULL);
        else /* its codes will not be used; anything finite will do */
            memset(chooser.weights, 0, n * sizeof(float));
        for (size_t b = 0; !finite && b < blocks; b++)
            chooser.grids[b] = i4q_grid_make(job->format, job->method, 1, job->format->zero);
        memcpy(choice->weights + row * n, chooser.weights, n * sizeof(float));
        memcpy(choice->grids + row * blocks, chooser.grids, blocks * sizeof(struct i4q_grid));
        memcpy(choice->codes + row * n, chooser.codes, n);
    }
    close_chooser(&chooser);
}

static void choose_group(struct choice *choice, size_t group, unsigned threads)
{
    const struct i4q_quantize_job *job = choice->job;
    size_t rows = job->channels / job->moments->groups, first = group * rows;
    struct i4q_error error = {0};
    const struct i4q_reconstruction work = {
        .kernels = choice->kernels,
        .threads = threads,
        .moments = job->moments,
        .group = group,
        .gptq = job->method->rounding == I4Q_ROUND_GPTQ,
        .descend = job->method->rounding != I4Q_ROUND_ESTIMATE,
        .rows = rows,
        .k = job->inner,
        .weights = choice->weights + first * job->inner,
        .block = job->block ? job->block : job->inner,
        .grids = choice->grids + first * i4q_job_blocks(job),
        .codes = choice->codes + first * job->inner,
    };
    if (!i4q_reconstruct(&work, &choice->outputs[group], &error))
        fail(choice, &error);
}

static void choose_group_alone(void *choice, size_t group)
{
    choose_group(choice, group, 1);
}

bool i4q_choose_job(const struct i4q_kernels *kernels, unsigned threads, const struct i4q_quantize_job *job,
                    int8_t *codes, struct i4q_output_error *output, struct i4q_error *error)
{
    struct choice choice = {
        .kernels = kernels, .threads = threads, .job = job, .codes = codes, .error = error};
    choice.weights = calloc(job->channels * job->inner, sizeof *choice.weights);
    choice.grids = calloc(job->channels * i4q_job_blocks(job), sizeof *choice.grids);
    choice.outputs = calloc(job->moments->groups, sizeof *choice.outputs);
    if (choice.weights && choice.grids && choice.outputs)
        i4q_parallel_for(threads, i4q_div_up(job->channels, ROWS), prepare_rows, &choice);
    else
        choice.failed = !i4q_fail_memory(error);
    /* Many small groups side by side, or one large one by all threads. */
    if (!choice.failed && job->moments->groups > 1)
        i4q_parallel_for(threads, job->moments->groups, choose_group_alone, &choice);
    else if (!choice.failed)
        choose_group(&choice, 0, threads);
    for (size_t group = 0; !choice.failed && group < job->moments->groups; group++) {
        output->signal += choice.outputs[group].signal;
        output->noise += choice.outputs[group].noise;
    }
    free(choice.weights);
    free(choice.grids);
    free(choice.outputs);
    return !choice.failed;
}

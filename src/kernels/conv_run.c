// SPDX-License-Identifier: Apache-2.0
/* A run: image after image, the grids first, then what the algorithm does. */
#include "kernels/conv_impl.h"

#include "base/checked.h"

#include <string.h>

enum { ALIGNMENT = 64 };

/* ---- grids */

/* Numbers that share a grid, cut once more: each worker finds the range of its piece. */
struct ranges {
    const struct i4q_conv_job *job;
    struct i4q_conv_range *pieces;
};

static void range_piece(const void *context, size_t index, size_t first, size_t end)
{
    const struct ranges *ranges = context;
    struct i4q_conv_range range = {0, 0, true}; /* of its own: no cache line that workers share */
    ranges->job->conv->set->range(ranges->job->x + first, end - first, &range);
    ranges->pieces[index] = range;
}

static void range_channels(const void *context, size_t index, size_t first, size_t end)
{
    const struct i4q_conv_job *job = context;
    size_t pixels = job->height * job->width;
    for (size_t c = first; c < end; c++) {
        struct i4q_conv_range range = {0, 0, true};
        job->conv->set->range(job->x + c * pixels, pixels, &range);
        job->grids[c] = i4q_conv_make_grid(&range);
    }
}

static void find_grid(const struct i4q_conv_job *job, struct i4q_conv_range *pieces)
{
    struct i4q_conv_range range = {0, 0, true};
    const struct ranges ranges = {job, pieces};
    for (size_t i = 0; i < job->workers->workers; i++)
        pieces[i] = range;
    i4q_conv_share(job->workers, job->conv->shape.channels * job->height * job->width, range_piece, &ranges);
    for (size_t i = 0; i < job->workers->workers; i++) {
        range.low = pieces[i].low < range.low ? pieces[i].low : range.low;
        range.high = pieces[i].high > range.high ? pieces[i].high : range.high;
        range.finite &= pieces[i].finite;
    }
    *job->grids = i4q_conv_make_grid(&range);
}

static void find_grids(const struct i4q_conv_job *job, struct i4q_conv_range *pieces)
{
    size_t grids = i4q_conv_grids(job->conv);
    if (job->conv->level == 0 || job->conv->input.possible)
        for (size_t i = 0; i < grids; i++)
            job->grids[i] = job->conv->input; /* of level 0: not possible */
    else if (grids == 1)
        find_grid(job, pieces);
    else if (!job->conv->algorithm->finds_grids)
        i4q_conv_share(job->workers, grids, range_channels, job);
}

/* ---- scratch: grids, ranges of pieces, what the algorithm needs; the first two are small */

static size_t grids_bytes(const struct i4q_conv *conv)
{
    return i4q_div_up(i4q_conv_grids(conv) * sizeof(struct i4q_conv_grid), ALIGNMENT) * ALIGNMENT;
}

static size_t ranges_bytes(size_t workers)
{
    return i4q_div_up(workers * sizeof(struct i4q_conv_range), ALIGNMENT) * ALIGNMENT;
}

static bool make_job(const struct i4q_conv *conv, const struct i4q_conv_input *input,
                     const struct i4q_conv_workers *workers, struct i4q_conv_job *job)
{
    struct i4q_error error = {0};
    *job = (struct i4q_conv_job){
        .conv = conv, .x = input->x, .codes = input->codes, .height = input->height, .width = input->width};
    job->workers = workers;
    return i4q_conv_output(conv, input->height, input->width, job->output, &error);
}

size_t i4q_conv_scratch(const struct i4q_conv *conv, const struct i4q_conv_input *input, size_t workers)
{
    struct i4q_conv_job job;
    const struct i4q_conv_workers pool = {.workers = workers};
    size_t bytes;
    if (workers > UINT16_MAX || !make_job(conv, input, &pool, &job))
        return SIZE_MAX;
    bytes = conv->algorithm->scratch(&job);
    return i4q_add_size(bytes, ALIGNMENT + grids_bytes(conv) + ranges_bytes(workers), &bytes) ? bytes
                                                                                              : SIZE_MAX;
}

void i4q_conv_run(const struct i4q_conv *conv, const struct i4q_conv_input *input, float *y, void *scratch,
                  const struct i4q_conv_workers *workers)
{
    struct i4q_conv_job job;
    if (!make_job(conv, input, workers, &job))
        return;
    char *aligned = (char *)scratch + -(uintptr_t)scratch % ALIGNMENT;
    job.grids = (void *)aligned;
    job.scratch = aligned + grids_bytes(conv) + ranges_bytes(workers->workers);
    job.y = y;
    for (size_t image = 0; image < input->images; image++) {
        find_grids(&job, (void *)(aligned + grids_bytes(conv)));
        conv->algorithm->run(&job);
        job.x += conv->shape.channels * job.height * job.width;
        job.y += conv->shape.outputs * job.output[0] * job.output[1];
    }
}

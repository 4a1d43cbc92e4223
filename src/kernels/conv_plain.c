// SPDX-License-Identifier: Apache-2.0
/*
 * The definition, computed as it stands: for each row of Y, a product and a sum a weight. Level 0 of every
 * set, and level 4 of the scalar set.
 */
#include "kernels/conv_impl.h"

#include "base/checked.h"

struct plain {
    const struct i4q_conv_job *job;
    int16_t *steps; /* X as u - z */
    char *workers;
    size_t worker_bytes; /* of each; more than its codes and sums take */
};

static size_t steps_bytes(const struct i4q_conv_job *job)
{
    size_t steps = job->conv->level == 0 ? 0 : job->conv->shape.channels * job->height * job->width;
    return i4q_div_up(steps * sizeof(int16_t), 64) * 64;
}

static size_t scratch(const struct i4q_conv_job *job)
{
    size_t bytes;
    if (!i4q_mul_size(i4q_conv_float_scratch(job), job->workers->workers, &bytes) ||
        !i4q_add_size(bytes, steps_bytes(job), &bytes))
        return SIZE_MAX;
    return bytes;
}

static void add_line(int32_t weight, const int16_t *steps, size_t stride, size_t n, int32_t *sums)
{
    for (size_t i = 0; i < n; i++)
        sums[i] += weight * steps[i * stride];
}

static void add_row(const struct plain *plain, size_t o, size_t row, const int16_t *weights, int32_t *sums)
{
    const struct i4q_conv_job *job = plain->job;
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t taps = shape->kernel[0] * shape->kernel[1], channels = shape->channels / shape->groups;
    size_t pixels = job->height * job->width;
    const int16_t *group = plain->steps + o / (shape->outputs / shape->groups) * channels * pixels;
    for (size_t tap = 0; tap < taps; tap++) {
        struct i4q_conv_line line = i4q_conv_line(job, row, tap);
        for (size_t c = 0; c < channels && line.count; c++)
            add_line(weights[c * taps + tap], group + c * pixels + line.start, shape->strides[1], line.count,
                     sums + line.first);
    }
}

static void run_output(const struct plain *plain, size_t o, float scale, char *place)
{
    const struct i4q_conv_job *job = plain->job;
    const struct i4q_conv_finish finish = {0, scale * job->conv->row_scales[o], job->conv->bias[o],
                                           &job->conv->activation};
    size_t width = job->output[1];
    float *y = job->y + o * job->output[0] * width;
    int32_t *sums = (int32_t *)(void *)place;
    int16_t *weights = (int16_t *)(void *)(place + i4q_div_up(width * sizeof *sums, 64) * 64);
    i4q_conv_row(job->conv, job->codes, o, weights);
    for (size_t row = 0; row < job->output[0]; row++, y += width) {
        for (size_t i = 0; i < width; i++)
            sums[i] = 0;
        add_row(plain, o, row, weights, sums);
        job->conv->set->finish(sums, width, &finish, y);
    }
}

static void run_outputs(const void *context, size_t index, size_t first, size_t end)
{
    const struct plain *plain = context;
    const struct i4q_conv_shape *shape = &plain->job->conv->shape;
    char *place = plain->workers + index * plain->worker_bytes;
    for (size_t o = first; o < end; o++) {
        size_t group = o / (shape->outputs / shape->groups);
        const struct i4q_conv_grid *grid = i4q_conv_grid_of(plain->job, group);
        if (grid->possible)
            run_output(plain, o, grid->scale, place);
        else
            i4q_conv_float_output(plain->job, o, place);
    }
}

static void quantize_channels(const void *context, size_t index, size_t first, size_t end)
{
    const struct plain *plain = context;
    size_t pixels = plain->job->height * plain->job->width;
    for (size_t c = first; c < end; c++) {
        const struct i4q_conv_grid *grid = i4q_conv_grid_of(plain->job, c);
        for (size_t i = c * pixels; grid->possible && i < (c + 1) * pixels; i++)
            plain->steps[i] = (int16_t)(i4q_conv_quantize(grid, plain->job->x[i]) - grid->zero);
    }
}

static void run(const struct i4q_conv_job *job)
{
    const struct plain plain = {job, (int16_t *)(void *)job->scratch, job->scratch + steps_bytes(job),
                                i4q_conv_float_scratch(job)};
    if (job->conv->level != 0)
        i4q_conv_share(job->workers, job->conv->shape.channels, quantize_channels, &plain);
    i4q_conv_share(job->workers, job->conv->shape.outputs, run_outputs, &plain);
}

static bool takes(const struct i4q_conv *conv)
{
    return true;
}

static bool pack(struct i4q_conv *conv, const void *codes, struct i4q_error *error)
{
    return true;
}

const struct i4q_conv_algorithm i4q_conv_plain = {takes, pack, scratch, run};

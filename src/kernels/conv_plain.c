// SPDX-License-Identifier: Apache-2.0
/*
 * The definition, computed as it stands: for each row of Y, a product and a sum a weight. Level 0 of every
 * set, and level 4 of the scalar set and of what the others leave to it.
 */
#include "kernels/conv_impl.h"

#include "base/checked.h"

/* Scratch: X as u - z, then for each worker the weights of an output and a row of sums. In bytes. */
struct places {
    size_t steps, weights, worker;
};

struct plain {
    const struct i4q_conv_job *job;
    struct places places;
    int16_t *steps;
};

static size_t align(size_t bytes)
{
    return i4q_div_up(bytes, 64) * 64;
}

static struct places lay_out(const struct i4q_conv_job *job)
{
    size_t steps = job->conv->level == 0 ? 0 : job->conv->shape.channels * job->height * job->width;
    size_t weights = align(job->conv->weights * sizeof(float)), sums = align(job->output[1] * sizeof(float));
    return (struct places){align(steps * sizeof(int16_t)), weights, weights + sums};
}

static size_t scratch(const struct i4q_conv_job *job)
{
    struct places places = lay_out(job);
    size_t bytes;
    if (!i4q_mul_size(places.worker, job->workers->workers, &bytes) ||
        !i4q_add_size(bytes, places.steps, &bytes))
        return SIZE_MAX;
    return bytes;
}

/* ---- a row of Y */

/* The part of a row of Y that reads input where there is some, when shifted by a tap: y[first + i] belongs to
 * x[start + i * stride], for i < count. */
struct span {
    size_t first, count, start;
};

static size_t div_up_signed(ptrdiff_t a, size_t b)
{
    return a <= 0 ? 0 : i4q_div_up((size_t)a, b);
}

static struct span span(const struct i4q_conv_job *job, size_t axis, size_t tap)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    ptrdiff_t shift = (ptrdiff_t)(tap * shape->dilations[axis]) - (ptrdiff_t)shape->pads[axis];
    size_t input = axis ? job->width : job->height, stride = shape->strides[axis];
    size_t first = div_up_signed(-shift, stride), end = div_up_signed((ptrdiff_t)input - shift, stride);
    end = end < job->output[axis] ? end : job->output[axis];
    if (first >= end)
        return (struct span){0};
    return (struct span){first, end - first, (size_t)((ptrdiff_t)(first * stride) + shift)};
}

/* A product of a row: `row` and its taps, as floats or as steps. */
struct part {
    struct span across;
    size_t source, weight; /* element of X's channels; of the output's weights */
};

typedef void add_fn(const struct plain *plain, const void *weights, const struct part *part, void *sums);

static void add_floats(const struct plain *plain, const void *weights, const struct part *part, void *sums)
{
    size_t stride = plain->job->conv->shape.strides[1];
    const float w = ((const float *)weights)[part->weight], *x = plain->job->x + part->source;
    float *sum = (float *)sums + part->across.first;
    for (size_t i = 0; i < part->across.count; i++)
        sum[i] += w * x[i * stride];
}

static void add_steps(const struct plain *plain, const void *weights, const struct part *part, void *sums)
{
    size_t stride = plain->job->conv->shape.strides[1];
    const int32_t w = ((const int16_t *)weights)[part->weight];
    const int16_t *x = plain->steps + part->source;
    int32_t *sum = (int32_t *)sums + part->across.first;
    for (size_t i = 0; i < part->across.count; i++)
        sum[i] += w * x[i * stride];
}

static void add_row(const struct plain *plain, size_t o, size_t row, const void *weights, add_fn *add,
                    void *sums)
{
    const struct i4q_conv_job *job = plain->job;
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t channels = shape->channels / shape->groups, taps = shape->kernel[0] * shape->kernel[1];
    size_t first = o / (shape->outputs / shape->groups) * channels;
    for (size_t k = 0; k < channels * taps; k++) {
        struct span down = span(job, 0, k % taps / shape->kernel[1]);
        struct part part = {.across = span(job, 1, k % shape->kernel[1]), .weight = k};
        if (row < down.first || row >= down.first + down.count)
            continue;
        size_t line = down.start + (row - down.first) * shape->strides[0];
        part.source = ((first + k / taps) * job->height + line) * job->width + part.across.start;
        add(plain, weights, &part, sums);
    }
}

/* ---- an output */

static void run_floats(const struct plain *plain, size_t o, void *weights, float *sums)
{
    const struct i4q_conv_job *job = plain->job;
    size_t width = job->output[1];
    float *y = job->y + o * job->output[0] * width;
    i4q_conv_decoded_row(job->conv, job->codes, o, weights);
    for (size_t row = 0; row < job->output[0]; row++, y += width) {
        for (size_t i = 0; i < width; i++)
            sums[i] = 0;
        add_row(plain, o, row, weights, add_floats, sums);
        for (size_t i = 0; i < width; i++)
            y[i] = i4q_conv_activate(&job->conv->activation, sums[i] + job->conv->bias[o]);
    }
}

static void run_steps(const struct plain *plain, size_t o, float scale, void *weights, int32_t *sums)
{
    const struct i4q_conv_job *job = plain->job;
    const struct i4q_conv_finish finish = {0, scale * job->conv->row_scales[o], job->conv->bias[o],
                                           &job->conv->activation};
    size_t width = job->output[1];
    float *y = job->y + o * job->output[0] * width;
    i4q_conv_row(job->conv, job->codes, o, weights);
    for (size_t row = 0; row < job->output[0]; row++, y += width) {
        for (size_t i = 0; i < width; i++)
            sums[i] = 0;
        add_row(plain, o, row, weights, add_steps, sums);
        job->conv->set->finish(sums, width, &finish, y);
    }
}

static const struct i4q_conv_grid *grid_of(const struct i4q_conv_job *job, size_t channel)
{
    return &job->grids[i4q_conv_grids(job->conv) > 1 ? channel : 0];
}

static void run_outputs(const void *context, size_t index, size_t first, size_t end)
{
    const struct plain *plain = context;
    const struct i4q_conv_shape *shape = &plain->job->conv->shape;
    char *weights = plain->job->scratch + plain->places.steps + index * plain->places.worker;
    void *sums = weights + plain->places.weights;
    for (size_t o = first; o < end; o++) {
        const struct i4q_conv_grid *grid = grid_of(plain->job, o / (shape->outputs / shape->groups));
        if (grid->possible)
            run_steps(plain, o, grid->scale, weights, sums);
        else
            run_floats(plain, o, weights, sums);
    }
}

static void quantize_channels(const void *context, size_t index, size_t first, size_t end)
{
    const struct plain *plain = context;
    size_t pixels = plain->job->height * plain->job->width;
    for (size_t c = first; c < end; c++) {
        const struct i4q_conv_grid *grid = grid_of(plain->job, c);
        for (size_t i = c * pixels; grid->possible && i < (c + 1) * pixels; i++)
            plain->steps[i] = (int16_t)(i4q_conv_quantize(grid, plain->job->x[i]) - grid->zero);
    }
}

static void run(const struct i4q_conv_job *job)
{
    const struct plain plain = {job, lay_out(job), (int16_t *)(void *)job->scratch};
    if (job->conv->level != 0)
        i4q_conv_share(job->workers, job->conv->shape.channels, quantize_channels, &plain);
    i4q_conv_share(job->workers, job->conv->shape.outputs, run_outputs, &plain);
}

const struct i4q_conv_algorithm i4q_conv_plain = {scratch, run};

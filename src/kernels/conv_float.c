// SPDX-License-Identifier: Apache-2.0
/* Level 0: decode, multiply, add, a row of Y at a time. */
#include "kernels/conv_impl.h"

#include "base/checked.h"

static size_t align(size_t bytes)
{
    return i4q_div_up(bytes, 64) * 64;
}

/* The weights of an output, then a row of sums. */
size_t i4q_conv_float_scratch(const struct i4q_conv_job *job)
{
    return align(job->conv->weights * sizeof(float)) + align(job->output[1] * sizeof(float));
}

static size_t div_up_signed(ptrdiff_t a, size_t b)
{
    return a <= 0 ? 0 : i4q_div_up((size_t)a, b);
}

/* The same along an axis (0: down, 1: across). */
static struct i4q_conv_line span(const struct i4q_conv_job *job, size_t axis, size_t tap)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    ptrdiff_t shift = (ptrdiff_t)(tap * shape->dilations[axis]) - (ptrdiff_t)shape->pads[axis];
    size_t input = axis ? job->width : job->height, stride = shape->strides[axis];
    size_t first = div_up_signed(-shift, stride), end = div_up_signed((ptrdiff_t)input - shift, stride);
    end = end < job->output[axis] ? end : job->output[axis];
    if (first >= end)
        return (struct i4q_conv_line){0};
    return (struct i4q_conv_line){first, end - first, (size_t)((ptrdiff_t)(first * stride) + shift)};
}

struct i4q_conv_line i4q_conv_line(const struct i4q_conv_job *job, size_t row, size_t tap)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    struct i4q_conv_line down = span(job, 0, tap / shape->kernel[1]);
    struct i4q_conv_line across = span(job, 1, tap % shape->kernel[1]);
    if (row < down.first || row >= down.first + down.count)
        return (struct i4q_conv_line){0};
    across.start += (down.start + (row - down.first) * shape->strides[0]) * job->width;
    return across;
}

static void add_line(float weight, const float *x, size_t stride, size_t n, float *sums)
{
    for (size_t i = 0; i < n; i++)
        sums[i] += weight * x[i * stride];
}

static void add_row(const struct i4q_conv_job *job, size_t o, size_t row, const float *weights, float *sums)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t taps = shape->kernel[0] * shape->kernel[1], channels = shape->channels / shape->groups;
    size_t pixels = job->height * job->width;
    const float *group = job->x + o / (shape->outputs / shape->groups) * channels * pixels;
    for (size_t tap = 0; tap < taps; tap++) {
        struct i4q_conv_line line = i4q_conv_line(job, row, tap);
        for (size_t c = 0; c < channels && line.count; c++)
            add_line(weights[c * taps + tap], group + c * pixels + line.start, shape->strides[1], line.count,
                     sums + line.first);
    }
}

void i4q_conv_float_output(const struct i4q_conv_job *job, size_t o, void *scratch)
{
    size_t width = job->output[1];
    float *weights = scratch, *y = job->y + o * job->output[0] * width;
    float *sums = (float *)(void *)((char *)scratch + align(job->conv->weights * sizeof *weights));
    i4q_conv_decoded_row(job->conv, job->codes, o, weights);
    for (size_t row = 0; row < job->output[0]; row++, y += width) {
        for (size_t i = 0; i < width; i++)
            sums[i] = 0;
        add_row(job, o, row, weights, sums);
        for (size_t i = 0; i < width; i++)
            y[i] = i4q_conv_activate(&job->conv->activation, sums[i] + job->conv->bias[o]);
    }
}

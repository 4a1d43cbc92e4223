// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise_impl.h"

#include "base/checked.h"

size_t i4q_depthwise_place(size_t count, size_t size, size_t *total)
{
    enum { LINE = 64 };
    size_t start = *total, bytes;
    bool fits = i4q_mul_size(count, size, &bytes) && i4q_add_size(bytes, LINE - 1, &bytes) &&
                i4q_add_size(start, bytes / LINE * LINE, total);
    if (!fits)
        *total = SIZE_MAX;
    return start;
}

struct i4q_depthwise_planes i4q_depthwise_lay_out(const struct i4q_conv_job *job)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t down = shape->strides[0], across = shape->strides[1];
    size_t reach = (shape->kernel[0] - 1) * shape->dilations[0];
    size_t pad = shape->pads[1] > shape->pads[3] ? shape->pads[1] : shape->pads[3];
    size_t pitch = i4q_div_up(job->width + pad, across), width = job->output[1];
    struct i4q_depthwise_planes planes = {
        .phases = down < reach + 1 ? down : reach + 1,
        .lines = job->output[0] + reach / down,
        .y_pitch = pitch > width ? pitch : width,
    };
    planes.pitch = planes.y_pitch * across;
    i4q_depthwise_place(planes.lines, planes.pitch, &planes.bytes);
    i4q_depthwise_place(shape->pads[1] + I4Q_DEPTHWISE_SLACK, 1, &planes.bytes);
    return planes;
}

/* Lines of a phase that lie above X's row `row`. */
static size_t lines_above(const struct i4q_conv_job *job, const struct i4q_depthwise_planes *planes,
                          size_t phase, size_t row)
{
    size_t padded = row + job->conv->shape.pads[0];
    size_t lines = padded > phase ? i4q_div_up(padded - phase, job->conv->shape.strides[0]) : 0;
    return lines < planes->lines ? lines : planes->lines;
}

void i4q_depthwise_phases(const struct i4q_conv_job *job, const struct i4q_depthwise_planes *planes,
                          struct i4q_depthwise_phase *phases)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    for (size_t phase = 0; phase < planes->phases; phase++) {
        size_t first = lines_above(job, planes, phase, 0), end = lines_above(job, planes, phase, job->height);
        phases[phase] = (struct i4q_depthwise_phase){
            .before = first * planes->pitch + shape->pads[1],
            .behind = (planes->lines - end) * planes->pitch,
            .first = (first * shape->strides[0] + phase - shape->pads[0]) * job->width,
            .stride = shape->strides[0] * job->width,
            .rows = end - first,
            .width = job->width,
            .pitch = planes->pitch,
        };
    }
}

void i4q_depthwise_offsets(const struct i4q_conv_job *job, const struct i4q_depthwise_planes *planes,
                           size_t *offsets)
{
    const struct i4q_depthwise_packed *packed = job->conv->packed;
    const struct i4q_conv_shape *shape = &job->conv->shape;
    for (size_t t = 0; t < packed->count; t++) {
        size_t down = t / packed->per_row * shape->dilations[0], across = t % packed->per_row;
        offsets[t] = down % shape->strides[0] * planes->bytes + down / shape->strides[0] * planes->pitch +
                     across * (packed->single ? shape->dilations[1] : 2);
    }
}

// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense_impl.h"

#include "base/checked.h"

#include <string.h>

enum { QUAD = 4 };

/* ---- where pixels lie */

static bool is_pointwise(const struct i4q_conv_shape *shape)
{
    return shape->kernel[0] == 1 && shape->kernel[1] == 1 && shape->strides[0] == 1 &&
           shape->strides[1] == 1 && !shape->pads[0] && !shape->pads[1] && !shape->pads[2] && !shape->pads[3];
}

static size_t reach(const struct i4q_conv_shape *shape, size_t axis)
{
    return (shape->kernel[axis] - 1) * shape->dilations[axis];
}

/* Cells of a row at whose end there is padding, less those that the next row begins with. */
static size_t find_pitch(const struct i4q_conv_shape *shape, const struct i4q_dense_planes *planes,
                         size_t cells)
{
    size_t shared = cells, stride = shape->strides[1];
    for (size_t phase = 0; phase < planes->phases[1]; phase++) {
        size_t before = shape->pads[1] > phase ? i4q_div_up(shape->pads[1] - phase, stride) : 0;
        size_t end = planes->width + shape->pads[1] > phase
                         ? i4q_div_up(planes->width + shape->pads[1] - phase, stride)
                         : 0;
        size_t behind = cells > end ? cells - end : 0, less = before < behind ? before : behind;
        shared = less < shared ? less : shared;
    }
    return cells - shared > planes->output[1] ? cells - shared : planes->output[1];
}

struct i4q_dense_planes i4q_dense_lay_out(const struct i4q_conv_job *job)
{
    enum { LINE = 64 };
    const struct i4q_conv_shape *shape = &job->conv->shape;
    const struct i4q_dense_kernels *set = job->conv->set->dense;
    struct i4q_dense_planes planes = {job->height, job->width, {job->output[0], job->output[1]}};
    if (is_pointwise(shape)) {
        planes.height = planes.output[0] = 1;
        planes.width = planes.output[1] = job->height * job->width;
    }
    for (size_t axis = 0; axis < 2; axis++)
        planes.phases[axis] =
            shape->strides[axis] < reach(shape, axis) + 1 ? shape->strides[axis] : reach(shape, axis) + 1;
    size_t cells = planes.output[1] + reach(shape, 1) / shape->strides[1];
    planes.rows = planes.output[0] + reach(shape, 0) / shape->strides[0];
    planes.pitch = find_pitch(shape, &planes, cells);
    planes.last = cells - planes.pitch;
    planes.pixels = planes.output[0] ? (planes.output[0] - 1) * planes.pitch + planes.output[1] : 0;
    /* Whole registers are read, perhaps of none of Y's pixels; and an odd number of lines keeps quads from
     * falling onto the same few sets of a cache. */
    size_t spare = planes.last + set->columns * set->lanes;
    planes.plane = (i4q_div_up((planes.rows * planes.pitch + spare) * QUAD, LINE) | 1) * LINE;
    planes.quad = planes.plane * planes.phases[0] * planes.phases[1];
    planes.group = planes.quad * i4q_div_up(shape->channels / shape->groups, QUAD);
    planes.bytes = planes.group * shape->groups;
    return planes;
}

void i4q_dense_offsets(const struct i4q_conv_job *job, const struct i4q_dense_planes *planes, size_t *offsets)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t quads = planes->group / planes->quad;
    for (size_t tap = 0; tap < shape->kernel[0] * shape->kernel[1]; tap++) {
        size_t down = tap / shape->kernel[1] * shape->dilations[0];
        size_t across = tap % shape->kernel[1] * shape->dilations[1];
        size_t phase = down % shape->strides[0] * planes->phases[1] + across % shape->strides[1];
        size_t pixel = down / shape->strides[0] * planes->pitch + across / shape->strides[1];
        for (size_t quad = 0; quad < quads; quad++)
            *offsets++ = quad * planes->quad + phase * planes->plane + pixel * QUAD;
    }
}

/* ---- filling them */

struct filling {
    const struct i4q_conv_job *job;
    const struct i4q_dense_planes *planes;
    uint8_t *bytes, *lines;
};

/* A row of a quad, in padded coordinates, and where it goes. */
struct row {
    const float *x[QUAD]; /* NULL: it is padding */
    const struct i4q_conv_grid *grid;
    uint8_t *cells; /* of the first of its planes, one for each phase across */
    size_t count;   /* of cells */
};

size_t i4q_dense_line(const struct i4q_dense_planes *planes)
{
    return i4q_div_up(planes->width * QUAD, 64) * 64;
}

static struct row find_row(const struct filling *filling, size_t quad, size_t down)
{
    const struct i4q_conv_job *job = filling->job;
    const struct i4q_conv_shape *shape = &job->conv->shape;
    const struct i4q_dense_planes *planes = filling->planes;
    size_t quads = planes->group / planes->quad, channels = shape->channels / shape->groups;
    size_t group = quad / quads, channel = quad % quads * QUAD, line = down - shape->pads[0];
    struct row row = {.grid = i4q_conv_grid_of(job, group), .count = planes->pitch};
    size_t phase = down % shape->strides[0] * planes->phases[1];
    row.cells = filling->bytes + quad * planes->quad + phase * planes->plane +
                down / shape->strides[0] * planes->pitch * QUAD;
    if (down / shape->strides[0] + 1 == planes->rows)
        row.count += planes->last;
    for (size_t i = 0; line < planes->height && i < QUAD; i++) {
        size_t c =
            channel + i < channels ? channel + i : channel; /* the weights of what is not there are 0 */
        row.x[i] = job->x + ((group * channels + c) * planes->height + line) * planes->width;
    }
    return row;
}

static void copy_every(const uint8_t *line, size_t stride, size_t n, uint8_t *cells)
{
    for (size_t i = 0; i < n; i++)
        memcpy(cells + i * QUAD, line + i * stride * QUAD, QUAD);
}

/* One phase of a row: padding, numbers from line[first] on, padding. */
static void fill_phase(const struct filling *filling, const struct row *row, const uint8_t *line,
                       size_t phase)
{
    const struct i4q_conv_shape *shape = &filling->job->conv->shape;
    const struct i4q_dense_planes *planes = filling->planes;
    size_t stride = shape->strides[1], pad = shape->pads[1], cells = row->count;
    int zero = row->grid->zero - filling->job->conv->set->dense->origin;
    size_t before = pad > phase ? i4q_div_up(pad - phase, stride) : 0, first = before * stride + phase - pad;
    size_t count = first < planes->width ? i4q_div_up(planes->width - first, stride) : 0;
    uint8_t *target = row->cells + phase * planes->plane;
    before = before < cells ? before : cells;
    count = !row->x[0] ? 0 : count < cells - before ? count : cells - before;
    memset(target, zero, before * QUAD);
    memset(target + (before + count) * QUAD, zero, (cells - before - count) * QUAD);
    if (stride > 1)
        copy_every(line + first * QUAD, stride, count, target + before * QUAD);
    else if (count)
        filling->job->conv->set->dense->quantize(row->x, count, row->grid, target + before * QUAD);
}

static void fill_rows(const void *context, size_t index, size_t first, size_t end)
{
    const struct filling *filling = context;
    const struct i4q_dense_planes *planes = filling->planes;
    const struct i4q_conv_shape *shape = &filling->job->conv->shape;
    uint8_t *line = filling->lines + index * i4q_dense_line(planes);
    size_t a_quad = planes->rows * planes->phases[0];
    for (size_t i = first; i < end; i++) {
        size_t down = i % a_quad / planes->phases[0] * shape->strides[0] + i % planes->phases[0];
        struct row row = find_row(filling, i / a_quad, down);
        if (!row.grid->possible)
            continue;
        if (shape->strides[1] > 1 && row.x[0])
            filling->job->conv->set->dense->quantize(row.x, planes->width, row.grid, line);
        for (size_t phase = 0; phase < planes->phases[1]; phase++)
            fill_phase(filling, &row, line, phase);
    }
}

void i4q_dense_quantize(const struct i4q_conv_job *job, const struct i4q_dense_planes *planes, uint8_t *bytes,
                        uint8_t *lines)
{
    const struct filling filling = {job, planes, bytes, lines};
    size_t rows = planes->rows * planes->phases[0] * (planes->bytes / planes->quad);
    i4q_conv_share(job->workers, rows, fill_rows, &filling);
}

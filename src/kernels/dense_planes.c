// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense_impl.h"

#include "base/checked.h"

#include <string.h>

enum { QUAD = 4, LINE = 64 };

/* ---- where pixels lie */

static size_t reach(const struct i4q_conv_shape *shape, size_t axis)
{
    return (shape->kernel[axis] - 1) * shape->dilations[axis];
}

static size_t count_phases(const struct i4q_conv_shape *shape, size_t axis)
{
    return shape->strides[axis] <= reach(shape, axis) ? shape->strides[axis] : reach(shape, axis) + 1;
}

/* Cells of a phase's row before the pixels of X, and these and those before. */
static size_t cells_before(const struct i4q_conv_shape *shape, size_t phase)
{
    size_t pad = shape->pads[1];
    return pad > phase ? i4q_div_up(pad - phase, shape->strides[1]) : 0;
}

static size_t cells_until(const struct i4q_conv_shape *shape, size_t width, size_t phase)
{
    size_t end = width + shape->pads[1];
    return end > phase ? i4q_div_up(end - phase, shape->strides[1]) : 0;
}

/* Of a row's cells, those whose place the next row's first ones can take: padding both. */
static size_t find_shared(const struct i4q_conv_job *job, size_t cells)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t shared = cells - job->output[1];
    for (size_t phase = 0; phase < count_phases(shape, 1); phase++) {
        size_t before = cells_before(shape, phase), until = cells_until(shape, job->width, phase);
        size_t behind = cells > until ? cells - until : 0;
        shared = before < shared ? before : shared;
        shared = behind < shared ? behind : shared;
    }
    return shared;
}

struct i4q_dense_planes i4q_dense_lay_out(const struct i4q_conv_job *job, size_t rows)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    const struct i4q_dense_kernels *set = job->conv->set->dense;
    size_t cells = job->output[1] + reach(shape, 1) / shape->strides[1];
    struct i4q_dense_planes planes = {.phases = {count_phases(shape, 0), count_phases(shape, 1)}};
    planes.last = find_shared(job, cells);
    planes.pitch = cells - planes.last;
    /* Whole registers are read, perhaps of none of Y's pixels; and an odd number of lines keeps quads from
     * falling onto the same few sets of a cache. */
    size_t lines = rows + reach(shape, 0) / shape->strides[0],
           spare = planes.last + set->columns * set->lanes;
    planes.plane = (i4q_div_up((lines * planes.pitch + spare) * QUAD, LINE) | 1) * LINE;
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

/* A line of a quad: of X with its padding. */
struct line {
    const float *x[QUAD]; /* NULL: all padding */
    const struct i4q_conv_grid *grid;
    uint8_t *cells; /* of the first of its planes, one for each phase across */
    size_t count;   /* of cells */
};

/* Channels of a quad in X. The weights of those that are not there are 0: any do. */
static void find_channels(const struct i4q_dense_band *band, size_t quad, const float *x[QUAD])
{
    const struct i4q_conv_job *job = band->job;
    size_t quads = band->planes->group / band->planes->quad;
    size_t channels = job->conv->shape.channels / job->conv->shape.groups;
    for (size_t i = 0; i < QUAD; i++) {
        size_t channel = quad % quads * QUAD + i;
        size_t c = quad / quads * channels + (channel < channels ? channel : channels - 1);
        x[i] = job->x + c * job->height * job->width;
    }
}

static void copy_every(const uint8_t *pixels, size_t stride, size_t n, uint8_t *cells)
{
    for (size_t i = 0; i < n; i++)
        memcpy(cells + i * QUAD, pixels + i * stride * QUAD, QUAD);
}

/* One phase of a line: padding, pixels, padding. `pixels`: those of the line, where there is a stride. */
static void fill_phase(const struct i4q_dense_band *band, const struct line *line, const uint8_t *pixels,
                       size_t phase)
{
    const struct i4q_conv_shape *shape = &band->job->conv->shape;
    const struct i4q_dense_kernels *set = band->job->conv->set->dense;
    size_t before = cells_before(shape, phase), until = cells_until(shape, band->job->width, phase);
    size_t first = before * shape->strides[1] + phase - shape->pads[1];
    uint8_t *cells = line->cells + phase * band->planes->plane;
    before = before < line->count ? before : line->count;
    until = !line->x[0] ? before : until < line->count ? until : line->count;
    size_t count = until > before ? until - before : 0;
    memset(cells, line->grid->zero - set->origin, before * QUAD);
    if (shape->strides[1] > 1)
        copy_every(pixels + first * QUAD, shape->strides[1], count, cells + before * QUAD);
    else if (count)
        set->quantize(line->x, count, line->grid, cells + before * QUAD);
    memset(cells + (before + count) * QUAD, line->grid->zero - set->origin,
           (line->count - before - count) * QUAD);
}

/* Line `down` of X with its padding. */
static void fill_line(const struct i4q_dense_band *band, struct line line, size_t down, uint8_t *pixels)
{
    const struct i4q_conv_shape *shape = &band->job->conv->shape;
    const struct i4q_conv_job *job = band->job;
    size_t row = down - shape->pads[0];
    for (size_t i = 0; i < QUAD; i++)
        line.x[i] = row < job->height ? line.x[i] + row * job->width : NULL;
    if (shape->strides[1] > 1 && line.x[0])
        job->conv->set->dense->quantize(line.x, job->width, line.grid, pixels);
    for (size_t phase = 0; phase < band->planes->phases[1]; phase++)
        fill_phase(band, &line, pixels, phase);
}

/* Planes are as X is. */
static bool is_pointwise(const struct i4q_conv_shape *shape)
{
    static const size_t none[4] = {0};
    return reach(shape, 0) + reach(shape, 1) == 0 && shape->strides[0] * shape->strides[1] == 1 &&
           memcmp(shape->pads, none, sizeof none) == 0;
}

static void fill_plane(const struct i4q_dense_band *band, struct line line)
{
    size_t width = band->job->width;
    for (size_t i = 0; i < QUAD; i++)
        line.x[i] += band->first * width;
    band->job->conv->set->dense->quantize(line.x, band->rows * width, line.grid, line.cells);
}

void i4q_dense_fill(const struct i4q_dense_band *band, size_t quad, uint8_t *pixels)
{
    const struct i4q_dense_planes *planes = band->planes;
    const struct i4q_conv_shape *shape = &band->job->conv->shape;
    struct line line = {.grid = i4q_conv_grid_of(band->job, quad / (planes->group / planes->quad))};
    uint8_t *cells = line.cells = band->bytes + quad * planes->quad;
    size_t lines = band->rows + reach(shape, 0) / shape->strides[0];
    if (!line.grid->possible)
        return;
    find_channels(band, quad, line.x);
    if (is_pointwise(shape)) {
        fill_plane(band, line);
        return;
    }
    for (size_t i = 0; i < lines * planes->phases[0]; i++) {
        size_t phase = i % planes->phases[0], number = i / planes->phases[0];
        line.cells = cells + phase * planes->phases[1] * planes->plane + number * planes->pitch * QUAD;
        line.count = planes->pitch + (number + 1 == lines ? planes->last : 0);
        fill_line(band, line, (band->first + number) * shape->strides[0] + phase, pixels);
    }
}

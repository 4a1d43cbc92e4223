// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense_impl.h"

#include "base/checked.h"

#include <string.h>

enum {
    ROWS = I4Q_DENSE_ROWS,
    ALIGNMENT = 64,
    SEGMENT = 384,       /* pixels whose sums are computed, then finished, in the first-level cache */
    BLOCK = 2 * SEGMENT, /* least pixels that a decoded tile is used for, where there are so many */
    CACHED = 192 << 10,  /* bytes of planes that stay in the second-level cache while tiles take turns */
};

struct dense {
    const struct i4q_conv_job *job;
    const struct i4q_dense_packed *packed;
    struct i4q_dense_planes planes;
    uint8_t *pixels;
    size_t *offsets;
    char *workers;
    size_t worker_bytes, sums_bytes, tile_bytes;
    bool by_tiles; /* how the work is shared: else by pixels */
};

static size_t align(size_t bytes)
{
    return i4q_div_up(bytes, ALIGNMENT) * ALIGNMENT;
}

/* ---- scratch: planes, offsets, then for each worker sums, decoded tiles (or a line being quantized) */

static struct dense lay_out(const struct i4q_conv_job *job)
{
    struct dense dense = {.job = job, .packed = job->conv->packed, .planes = i4q_dense_lay_out(job)};
    size_t line = i4q_dense_line(&dense.planes), plain = i4q_conv_float_scratch(job);
    dense.sums_bytes = ROWS * SEGMENT * sizeof(int32_t);
    dense.tile_bytes = align(dense.packed->steps * I4Q_DENSE_STEP);
    dense.worker_bytes = dense.sums_bytes + dense.packed->passes * dense.tile_bytes;
    if (dense.worker_bytes < line)
        dense.worker_bytes = line;
    if (dense.worker_bytes < plain)
        dense.worker_bytes = plain;
    dense.pixels = (uint8_t *)job->scratch;
    return dense;
}

static size_t offsets_bytes(const struct dense *dense)
{
    return align(dense->packed->steps * sizeof *dense->offsets);
}

static size_t scratch(const struct i4q_conv_job *job)
{
    struct dense dense = lay_out(job);
    size_t bytes;
    if (!i4q_mul_size(dense.worker_bytes, job->workers->workers, &bytes) ||
        !i4q_add_size(bytes, dense.planes.bytes + offsets_bytes(&dense), &bytes))
        return SIZE_MAX;
    return bytes;
}

/* ---- a segment of a tile */

struct segment {
    const struct dense *dense;
    const struct i4q_conv_grid *grid;
    size_t tile, pixel, count; /* pixels of Y as they lie in a plane */
    int32_t *sums;             /* ROWS × SEGMENT */
    const int8_t *weights;
};

/* Leaves out the sums between the rows of Y; returns how many are left. Some rows are shorter than a call. */
static size_t compact(const struct i4q_dense_planes *planes, size_t pixel, size_t count, int32_t *sums)
{
    size_t kept = 0, width = planes->output[1];
    for (size_t i = 0; i < count;) {
        size_t column = (pixel + i) % planes->pitch, rest = planes->pitch - column;
        size_t length = column < width ? width - column : 0;
        length = length < count - i ? length : count - i;
        if (kept < i)
            memmove(sums + kept, sums + i, length * sizeof *sums);
        kept += length;
        i += rest;
    }
    return kept;
}

static void finish_segment(const struct segment *segment)
{
    const struct dense *dense = segment->dense;
    const struct i4q_conv *conv = dense->job->conv;
    const struct i4q_dense_planes *planes = &dense->planes;
    size_t outputs = conv->shape.outputs / conv->shape.groups, column = segment->pixel % planes->pitch;
    size_t group = segment->tile / dense->packed->group_tiles,
           first = segment->tile % dense->packed->group_tiles * ROWS;
    size_t start = segment->pixel / planes->pitch * planes->output[1] +
                   (column < planes->output[1] ? column : planes->output[1]);
    for (size_t row = 0; row < ROWS && first + row < outputs; row++) {
        size_t o = group * outputs + first + row;
        int32_t *sums = segment->sums + row * SEGMENT;
        const struct i4q_conv_finish finish = {
            (segment->grid->zero - conv->set->dense->origin) * dense->packed->sums[o],
            segment->grid->scale * conv->row_scales[o], conv->bias[o], &conv->activation};
        size_t count = compact(planes, segment->pixel, segment->count, sums);
        conv->set->finish(sums, count, &finish,
                          dense->job->y + o * planes->output[0] * planes->output[1] + start);
    }
}

static void run_segment(const struct segment *segment)
{
    const struct dense *dense = segment->dense;
    const struct i4q_dense_packed *packed = dense->packed;
    const struct i4q_dense_kernels *set = dense->job->conv->set->dense;
    size_t group = segment->tile / packed->group_tiles;
    for (unsigned pass = 0; pass < packed->passes; pass++) {
        size_t index = segment->tile * packed->passes + pass;
        const struct i4q_dense_dot dot = {
            .weights = segment->weights + pass * dense->tile_bytes,
            .pixels = dense->pixels + group * dense->planes.group + segment->pixel * 4,
            .offsets = dense->offsets,
            .runs = packed->runs + index * packed->most_runs,
            .run_count = packed->counts[index],
            .shift = 4 * pass,
            .add = pass > 0,
            .registers = i4q_div_up(segment->count, set->lanes),
            .sums = segment->sums,
            .pitch = SEGMENT,
        };
        set->dot(&dot);
    }
    finish_segment(segment);
}

/* ---- blocks of pixels, through which all tiles go */

static void run_tile(const struct dense *dense, size_t tile, size_t first, size_t end, char *place)
{
    int8_t *weights = (int8_t *)place + dense->sums_bytes;
    struct segment segment = {
        .dense = dense, .tile = tile, .sums = (int32_t *)(void *)place, .weights = weights};
    segment.grid = i4q_conv_grid_of(dense->job, tile / dense->packed->group_tiles);
    if (!segment.grid->possible)
        return;
    for (unsigned pass = 0; pass < dense->packed->passes; pass++)
        i4q_dense_decode(dense->packed, tile, pass, weights + pass * dense->tile_bytes);
    for (segment.pixel = first; segment.pixel < end; segment.pixel += SEGMENT) {
        segment.count = end - segment.pixel < SEGMENT ? end - segment.pixel : SEGMENT;
        run_segment(&segment);
    }
}

static size_t all_tiles(const struct dense *dense)
{
    return dense->packed->group_tiles * dense->job->conv->shape.groups;
}

static void run_tiles(const void *context, size_t index, size_t first, size_t end)
{
    const struct dense *dense = context;
    for (size_t tile = first; tile < end; tile++)
        run_tile(dense, tile, 0, dense->planes.pixels, dense->workers + index * dense->worker_bytes);
}

/* Pixels are shared in units of what dot likes best. */
static size_t unit(const struct dense *dense)
{
    const struct i4q_dense_kernels *set = dense->job->conv->set->dense;
    return set->columns * set->lanes;
}

static void run_pixels(const void *context, size_t index, size_t first, size_t end)
{
    const struct dense *dense = context;
    size_t block = CACHED / dense->packed->quads / 4 / SEGMENT * SEGMENT, last = end * unit(dense);
    block = block > BLOCK ? block : BLOCK;
    last = last < dense->planes.pixels ? last : dense->planes.pixels;
    for (size_t pixel = first * unit(dense); pixel < last; pixel += block)
        for (size_t tile = 0; tile < all_tiles(dense); tile++)
            run_tile(dense, tile, pixel, last - pixel < block ? last : pixel + block,
                     dense->workers + index * dense->worker_bytes);
}

/* ---- all */

/* Outputs whose numbers have no grid. */
static void run_floats(const void *context, size_t index, size_t first, size_t end)
{
    const struct dense *dense = context;
    const struct i4q_conv_shape *shape = &dense->job->conv->shape;
    for (size_t o = first; o < end; o++)
        if (!i4q_conv_grid_of(dense->job, o / (shape->outputs / shape->groups))->possible)
            i4q_conv_float_output(dense->job, o, dense->workers + index * dense->worker_bytes);
}

static bool all_possible(const struct i4q_conv_job *job)
{
    for (size_t i = 0; i < i4q_conv_grids(job->conv); i++)
        if (!job->grids[i].possible)
            return false;
    return true;
}

static void run(const struct i4q_conv_job *job)
{
    struct dense dense = lay_out(job);
    size_t workers = job->workers->workers;
    dense.offsets = (size_t *)(void *)(job->scratch + dense.planes.bytes);
    dense.workers = job->scratch + dense.planes.bytes + offsets_bytes(&dense);
    i4q_dense_offsets(job, &dense.planes, dense.offsets);
    i4q_dense_quantize(job, &dense.planes, dense.pixels, (uint8_t *)dense.workers);
    size_t pixels = dense.planes.pixels;
    if (all_tiles(&dense) >= 4 * workers && pixels < BLOCK * workers)
        i4q_conv_share(job->workers, all_tiles(&dense), run_tiles, &dense);
    else
        i4q_conv_share(job->workers, i4q_div_up(pixels, unit(&dense)), run_pixels, &dense);
    if (!all_possible(job))
        i4q_conv_share(job->workers, job->conv->shape.outputs, run_floats, &dense);
}

static bool takes(const struct i4q_conv *conv)
{
    return conv->level == 4 && conv->set->dense;
}

const struct i4q_conv_algorithm i4q_conv_dense = {takes, i4q_dense_pack, scratch, run};

// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense_impl.h"

#include "base/checked.h"

#include <string.h>

enum {
    ROWS = I4Q_DENSE_ROWS,
    ALIGNMENT = 64,
    SEGMENT = 384,      /* pixels whose sums are computed, then finished, in the first-level cache */
    CACHED = 192 << 10, /* bytes of planes that stay in the second-level cache while all tiles are computed */
    FEW = 192,          /* pixels, for which decoding a tile takes some time beside its products */
};

/* How rows of Y are shared: in bands, each with planes of its own, which one worker fills; or, where a map is
 * small, in one band that all fill, and whose tiles they share. */
struct dense {
    const struct i4q_conv_job *job;
    const struct i4q_dense_packed *packed;
    size_t band_rows, bands;
    bool by_tiles;
    struct i4q_dense_planes planes;
    size_t planes_bytes, sums_bytes, tile_bytes, line_bytes, worker_bytes;
    size_t *offsets;
    uint8_t *shared; /* planes, by tiles */
    char *workers;
};

static size_t align(size_t bytes)
{
    return i4q_div_up(bytes, ALIGNMENT) * ALIGNMENT;
}

static size_t all_tiles(const struct dense *dense)
{
    return dense->packed->group_tiles * dense->job->conv->shape.groups;
}

static size_t all_quads(const struct dense *dense)
{
    return dense->packed->quads * dense->job->conv->shape.groups;
}

/* As many bands as fit the cache, and a multiple of the workers. */
static void cut_bands(struct dense *dense)
{
    const struct i4q_conv_job *job = dense->job;
    size_t workers = job->workers->workers, rows = job->output[0], bands;
    struct i4q_dense_planes all = i4q_dense_lay_out(job, rows);
    bands = i4q_div_up(i4q_div_up(all.bytes, CACHED), workers) * workers;
    dense->band_rows = i4q_div_up(rows, bands);
    dense->by_tiles = workers > 1 && dense->band_rows * all.pitch < FEW && all_tiles(dense) > workers;
    if (dense->by_tiles)
        dense->band_rows = rows;
    dense->bands = dense->band_rows ? i4q_div_up(rows, dense->band_rows) : 0;
}

/* ---- scratch: offsets, shared planes, then for each worker sums, decoded tiles, a line, planes */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct dense lay_out(const struct i4q_conv_job *job)
{
    struct dense dense = {.job = job, .packed = job->conv->packed};
    cut_bands(&dense);
    dense.planes = i4q_dense_lay_out(job, dense.band_rows);
    dense.planes_bytes = align(dense.planes.bytes);
    dense.sums_bytes = ROWS * SEGMENT * sizeof(int32_t);
    dense.tile_bytes = align(dense.packed->steps * I4Q_DENSE_STEP);
    dense.line_bytes = align(job->width * 4);
    dense.worker_bytes = dense.sums_bytes + dense.packed->passes * dense.tile_bytes + dense.line_bytes +
                         (dense.by_tiles ? 0 : dense.planes_bytes);
    dense.worker_bytes = larger(dense.worker_bytes, i4q_conv_float_scratch(job));
    return dense;
}

static size_t shared_bytes(const struct dense *dense)
{
    return align(dense->packed->steps * sizeof *dense->offsets) + (dense->by_tiles ? dense->planes_bytes : 0);
}

static size_t scratch(const struct i4q_conv_job *job)
{
    struct dense dense = lay_out(job);
    size_t bytes;
    if (!i4q_mul_size(dense.worker_bytes, job->workers->workers, &bytes) ||
        !i4q_add_size(bytes, shared_bytes(&dense), &bytes))
        return SIZE_MAX;
    return bytes;
}

/* A worker's part. */
struct desk {
    int32_t *sums;   /* ROWS × SEGMENT */
    int8_t *weights; /* of a tile, for each pass */
    uint8_t *line, *planes;
};

static struct desk desk_of(const struct dense *dense, size_t worker)
{
    char *at = dense->workers + worker * dense->worker_bytes;
    struct desk desk = {.sums = (int32_t *)(void *)at};
    desk.weights = (int8_t *)(at += dense->sums_bytes);
    desk.line = (uint8_t *)(at += dense->packed->passes * dense->tile_bytes);
    desk.planes = dense->by_tiles ? dense->shared : (uint8_t *)at + dense->line_bytes;
    return desk;
}

/* ---- a segment of a tile */

struct segment {
    const struct dense *dense;
    const struct i4q_dense_band *band;
    const struct i4q_conv_grid *grid;
    const struct desk *desk;
    size_t tile, pixel, count; /* pixels of the band as they lie in its planes */
};

/* Leaves out the sums between rows; returns how many are left. */
static size_t compact(const struct segment *segment, int32_t *sums)
{
    size_t kept = 0, width = segment->dense->job->output[1], pitch = segment->dense->planes.pitch;
    if (width == pitch)
        return segment->count;
    for (size_t i = 0; i < segment->count;) {
        size_t column = (segment->pixel + i) % pitch, rest = pitch - column;
        size_t length = column < width ? width - column : 0;
        length = length < segment->count - i ? length : segment->count - i;
        if (kept < i)
            memmove(sums + kept, sums + i, length * sizeof *sums);
        kept += length;
        i += rest;
    }
    return kept;
}

/* The first number of the segment in a channel of Y. */
static size_t start_of(const struct segment *segment)
{
    size_t width = segment->dense->job->output[1], pitch = segment->dense->planes.pitch;
    size_t column = segment->pixel % pitch;
    return (segment->band->first + segment->pixel / pitch) * width + (column < width ? column : width);
}

static void finish_segment(const struct segment *segment)
{
    const struct dense *dense = segment->dense;
    const struct i4q_conv *conv = dense->job->conv;
    size_t outputs = conv->shape.outputs / conv->shape.groups, tiles = dense->packed->group_tiles;
    size_t first = segment->tile % tiles * ROWS, pixels = dense->job->output[0] * dense->job->output[1];
    float *y = dense->job->y + start_of(segment);
    for (size_t row = 0; row < ROWS && first + row < outputs; row++) {
        size_t o = segment->tile / tiles * outputs + first + row;
        int32_t *sums = segment->desk->sums + row * SEGMENT;
        const struct i4q_conv_finish finish = {
            (segment->grid->zero - conv->set->dense->origin) * dense->packed->sums[o],
            segment->grid->scale * conv->row_scales[o], conv->bias[o], &conv->activation};
        conv->set->finish(sums, compact(segment, sums), &finish, y + o * pixels);
    }
}

static void run_segment(const struct segment *segment)
{
    const struct dense *dense = segment->dense;
    const struct i4q_dense_packed *packed = dense->packed;
    const struct i4q_dense_kernels *set = dense->job->conv->set->dense;
    for (unsigned pass = 0; pass < packed->passes; pass++) {
        size_t index = segment->tile * packed->passes + pass;
        const struct i4q_dense_dot dot = {
            .weights = segment->desk->weights + pass * dense->tile_bytes,
            .pixels = segment->band->bytes + segment->tile / packed->group_tiles * dense->planes.group +
                      segment->pixel * 4,
            .offsets = dense->offsets,
            .runs = packed->runs + index * packed->most_runs,
            .run_count = packed->counts[index],
            .shift = 4 * pass,
            .add = pass > 0,
            .registers = i4q_div_up(segment->count, set->lanes),
            .sums = segment->desk->sums,
            .pitch = SEGMENT,
        };
        set->dot(&dot);
    }
    finish_segment(segment);
}

/* ---- bands and tiles */

static void run_tile(const struct dense *dense, const struct i4q_dense_band *band, size_t tile,
                     const struct desk *desk)
{
    const struct i4q_conv_grid *grid = i4q_conv_grid_of(dense->job, tile / dense->packed->group_tiles);
    struct segment segment = {dense, band, grid, desk, tile};
    size_t end = band->rows * dense->planes.pitch - (dense->planes.pitch - dense->job->output[1]);
    if (!grid->possible)
        return;
    for (unsigned pass = 0; pass < dense->packed->passes; pass++)
        i4q_dense_decode(dense->packed, tile, pass, desk->weights + pass * dense->tile_bytes);
    for (; segment.pixel < end; segment.pixel += SEGMENT) {
        segment.count = end - segment.pixel < SEGMENT ? end - segment.pixel : SEGMENT;
        run_segment(&segment);
    }
}

static struct i4q_dense_band band_of(const struct dense *dense, size_t index, const struct desk *desk)
{
    size_t first = index * dense->band_rows, rest = dense->job->output[0] - first;
    return (struct i4q_dense_band){dense->job, &dense->planes, desk->planes, first,
                                   rest < dense->band_rows ? rest : dense->band_rows};
}

static void run_bands(const void *context, size_t index, size_t first, size_t end)
{
    const struct dense *dense = context;
    const struct desk desk = desk_of(dense, index);
    for (size_t i = first; i < end; i++) {
        const struct i4q_dense_band band = band_of(dense, i, &desk);
        for (size_t quad = 0; quad < all_quads(dense); quad++)
            i4q_dense_fill(&band, quad, desk.line);
        for (size_t tile = 0; tile < all_tiles(dense); tile++)
            run_tile(dense, &band, tile, &desk);
    }
}

static void fill_quads(const void *context, size_t index, size_t first, size_t end)
{
    const struct desk desk = desk_of(context, index);
    const struct i4q_dense_band band = band_of(context, 0, &desk);
    for (size_t quad = first; quad < end; quad++)
        i4q_dense_fill(&band, quad, desk.line);
}

static void run_tiles(const void *context, size_t index, size_t first, size_t end)
{
    const struct desk desk = desk_of(context, index);
    const struct i4q_dense_band band = band_of(context, 0, &desk);
    for (size_t tile = first; tile < end; tile++)
        run_tile(context, &band, tile, &desk);
}

/* Outputs whose numbers have no grid. */
static void run_floats(const void *context, size_t index, size_t first, size_t end)
{
    const struct dense *dense = context;
    const struct i4q_conv_shape *shape = &dense->job->conv->shape;
    for (size_t o = first; o < end; o++)
        if (!i4q_conv_grid_of(dense->job, o / (shape->outputs / shape->groups))->possible)
            i4q_conv_float_output(dense->job, o, dense->workers + index * dense->worker_bytes);
}

/* ---- all */

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
    dense.offsets = (size_t *)(void *)job->scratch;
    dense.shared = (uint8_t *)job->scratch + align(dense.packed->steps * sizeof *dense.offsets);
    dense.workers = job->scratch + shared_bytes(&dense);
    i4q_dense_offsets(job, &dense.planes, dense.offsets);
    if (dense.by_tiles) {
        i4q_conv_share(job->workers, all_quads(&dense), fill_quads, &dense);
        i4q_conv_share(job->workers, all_tiles(&dense), run_tiles, &dense);
    } else {
        i4q_conv_share(job->workers, dense.bands, run_bands, &dense);
    }
    if (!all_possible(job))
        i4q_conv_share(job->workers, job->conv->shape.outputs, run_floats, &dense);
}

static bool takes(const struct i4q_conv *conv)
{
    return conv->level == 4 && conv->set->dense;
}

const struct i4q_conv_algorithm i4q_conv_dense = {takes, i4q_dense_pack, scratch, run};

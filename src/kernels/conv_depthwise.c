// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv_depthwise.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum {
    LINE = 64,
    MOST = 128,      /* |sum of weights of one sign|, for which 255 times as much fits int16_t */
    STRIP = 4096,    /* sums that are computed, and then finished, at a time: they fit the nearest cache */
    MOST_STRIDE = 2, /* across */
};

/* ---- weights */

/* Of a Conv; one block of memory. Taps lie row by row, those of a row from left to right: pairs of
 * neighbours, or, where pixels of a row that are multiplied are no neighbours, or two weights too large for
 * each other, a tap for each weight. */
struct packed {
    bool single;
    size_t per_row, count; /* taps of a row of the kernel, and of all of it */
    int32_t *sums;         /* outputs: the sum of the weights */
    uint16_t *runs;        /* outputs: taps whose sums fit 16 bits, so that all taps fall into such runs */
    struct i4q_depthwise_tap *taps; /* outputs × count */
};

static bool fits_byte(int code, const struct i4q_conv *conv)
{
    return conv->blocks > 1 || (code >= INT8_MIN && code <= INT8_MAX);
}

static bool codes_fit(const struct i4q_conv *conv)
{
    int least = conv->is_signed ? -(1 << (conv->bits - 1)) : 0, most = least + (1 << conv->bits) - 1;
    for (size_t o = 0; o < conv->shape.outputs; o++)
        if (!fits_byte(least - conv->zeros[o], conv) || !fits_byte(most - conv->zeros[o], conv))
            return false;
    return true;
}

static bool takes(const struct i4q_conv *conv)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    return conv->set->depthwise && conv->level == 4 && shape->groups == shape->channels &&
           shape->strides[1] <= MOST_STRIDE && conv->weights <= UINT16_MAX && codes_fit(conv);
}

static unsigned pair_of(int first, int second)
{
    return (unsigned)(first & 0xff) | (unsigned)(second & 0xff) << 8;
}

/* The weights of tap t of a row of the kernel. */
static struct i4q_depthwise_tap make_tap(const struct i4q_conv *conv, const int16_t *row, size_t t)
{
    const struct packed *packed = conv->packed;
    size_t width = conv->shape.kernel[1];
    if (packed->single)
        return (struct i4q_depthwise_tap){(uint16_t)pair_of(row[t], 0), (uint16_t)pair_of(0, row[t])};
    int before = t > 0 ? row[2 * t - 1] : 0, first = 2 * t < width ? row[2 * t] : 0;
    int second = 2 * t + 1 < width ? row[2 * t + 1] : 0;
    return (struct i4q_depthwise_tap){(uint16_t)pair_of(first, second), (uint16_t)pair_of(before, first)};
}

static void add_by_sign(int weight, int by_sign[2])
{
    by_sign[weight < 0] += abs(weight);
}

/* Whether sums over runs of so many taps fit. Those of even and of odd indices are not of the same weights.
 */
static bool runs_fit(const struct i4q_depthwise_tap *taps, size_t count, size_t run)
{
    for (size_t first = 0; first < count; first += run) {
        int even[2] = {0}, odd[2] = {0};
        for (size_t t = first; t < count && t < first + run; t++)
            for (int shift = 0; shift < 16; shift += 8) {
                add_by_sign((int8_t)(taps[t].even >> shift), even);
                add_by_sign((int8_t)(taps[t].odd >> shift), odd);
            }
        if (even[0] > MOST || even[1] > MOST || odd[0] > MOST || odd[1] > MOST)
            return false;
    }
    return true;
}

/* The longest runs that fit when all are as long. 0: not even a tap does. */
static size_t find_run(const struct i4q_depthwise_tap *taps, size_t count)
{
    size_t runs = 1;
    while (runs <= count && !runs_fit(taps, count, i4q_div_up(count, runs)))
        runs++;
    return runs <= count ? i4q_div_up(count, runs) : 0;
}

static bool pack_output(struct i4q_conv *conv, const int16_t *weights, size_t o)
{
    const struct packed *packed = conv->packed;
    struct i4q_depthwise_tap *taps = packed->taps + o * packed->count;
    for (size_t t = 0; t < packed->count; t++)
        taps[t] = make_tap(conv, weights + t / packed->per_row * conv->shape.kernel[1], t % packed->per_row);
    packed->sums[o] = 0;
    for (size_t k = 0; k < conv->weights; k++)
        packed->sums[o] += weights[k];
    size_t run = find_run(taps, packed->count);
    packed->runs[o] = (uint16_t)run;
    return run > 0;
}

static bool pack_outputs(struct i4q_conv *conv, const void *codes, int16_t *weights)
{
    for (size_t o = 0; o < conv->shape.outputs; o++) {
        i4q_conv_row(conv, codes, o, weights);
        if (!pack_output(conv, weights, o))
            return false;
    }
    return true;
}

static struct packed *allocate(struct i4q_conv *conv, bool single)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    size_t across = shape->kernel[1],
           per_row = shape->strides[1] == 1 ? across / 2 + 1 : i4q_div_up(across, 2);
    struct packed packed = {.single = single, .per_row = single ? across : per_row};
    packed.count = packed.per_row * shape->kernel[0];
    conv->packed_bytes = sizeof packed + shape->outputs * (sizeof *packed.sums + sizeof *packed.runs +
                                                           packed.count * sizeof *packed.taps);
    struct packed *block = malloc(conv->packed_bytes);
    if (!block)
        return NULL;
    packed.sums = (int32_t *)(void *)(block + 1);
    packed.taps = (struct i4q_depthwise_tap *)(void *)(packed.sums + shape->outputs);
    packed.runs = (uint16_t *)(void *)(packed.taps + shape->outputs * packed.count);
    *block = packed;
    return block;
}

static bool pack_as(struct i4q_conv *conv, const void *codes, bool single, int16_t *weights)
{
    free(conv->packed);
    conv->packed = allocate(conv, single);
    return conv->packed && pack_outputs(conv, codes, weights);
}

/* In pairs if that can be. */
static bool pack(struct i4q_conv *conv, const void *codes, struct i4q_error *error)
{
    int16_t *weights = malloc(conv->weights * sizeof *weights);
    bool apart = conv->shape.kernel[1] > 1 && conv->shape.dilations[1] > 1;
    bool done =
        weights && ((!apart && pack_as(conv, codes, false, weights)) || pack_as(conv, codes, true, weights));
    free(weights);
    return done || i4q_fail_memory(error);
}

/* ---- planes */

struct layout {
    size_t phases;      /* planes that weights meet */
    size_t lines;       /* rows of each */
    size_t pitch;       /* bytes of a row */
    size_t phase_bytes; /* of a plane */
    size_t strip;       /* rows of Y that are computed at a time */
    size_t y_pitch;     /* sums of a row */
};

/* Where `count` elements go that follow `total` bytes, which grow by them. SIZE_MAX: by more than there can
 * be. */
static size_t place(size_t count, size_t size, size_t *total)
{
    size_t start = *total, bytes;
    bool fits = i4q_mul_size(count, size, &bytes) && i4q_add_size(bytes, LINE - 1, &bytes) &&
                i4q_add_size(start, bytes / LINE * LINE, total);
    if (!fits)
        *total = SIZE_MAX;
    return start;
}

static struct layout lay_out(const struct i4q_conv_job *job)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t down = shape->strides[0], across = shape->strides[1];
    size_t reach = (shape->kernel[0] - 1) * shape->dilations[0];
    size_t pad = shape->pads[1] > shape->pads[3] ? shape->pads[1] : shape->pads[3];
    size_t pitch = i4q_div_up(job->width + pad, across), width = job->output[1];
    struct layout layout = {
        .phases = down < reach + 1 ? down : reach + 1,
        .lines = job->output[0] + reach / down,
        .y_pitch = pitch > width ? pitch : width,
    };
    layout.pitch = layout.y_pitch * across;
    layout.strip = layout.y_pitch < STRIP ? STRIP / layout.y_pitch : 1;
    place(layout.lines, layout.pitch, &layout.phase_bytes);
    place(shape->pads[1] + I4Q_DEPTHWISE_SLACK, 1, &layout.phase_bytes);
    return layout;
}

/* Padded rows of a phase that lie above X's row `row`, in lines. */
static size_t lines_above(const struct i4q_conv_job *job, const struct layout *layout, size_t phase,
                          size_t row)
{
    size_t padded = row + job->conv->shape.pads[0];
    size_t lines = padded > phase ? i4q_div_up(padded - phase, job->conv->shape.strides[0]) : 0;
    return lines < layout->lines ? lines : layout->lines;
}

static void fill_phase(const struct i4q_conv_job *job, const struct layout *layout, const float *x,
                       size_t phase, const struct i4q_conv_grid *grid, uint8_t *plane)
{
    const struct i4q_conv_shape *shape = &job->conv->shape;
    size_t first = lines_above(job, layout, phase, 0), end = lines_above(job, layout, phase, job->height);
    const struct i4q_depthwise_phase part = {
        .before = first * layout->pitch + shape->pads[1],
        .behind = (layout->lines - end) * layout->pitch,
        .x = end > first ? x + (first * shape->strides[0] + phase - shape->pads[0]) * job->width : NULL,
        .rows = end - first,
        .width = job->width,
        .stride = shape->strides[0] * job->width,
        .pitch = layout->pitch,
    };
    job->conv->set->depthwise->quantize(&part, grid, job->conv->input.possible, plane);
}

/* ---- a run */

/* In scratch: the offsets of taps, then what each worker has. */
struct run {
    const struct i4q_conv_job *job;
    struct layout layout;
    size_t sums, wide_sums, floats; /* where they begin, behind the planes of a worker */
    size_t worker, workers;         /* bytes of one; where the first one begins */
    size_t total;
};

static struct run make_run(const struct i4q_conv_job *job)
{
    const struct packed *packed = job->conv->packed;
    struct run run = {job, lay_out(job)};
    size_t sums = run.layout.strip * run.layout.y_pitch + I4Q_DEPTHWISE_SLACK;
    place(run.layout.phases, run.layout.phase_bytes, &run.worker);
    run.sums = place(sums, sizeof(int16_t), &run.worker);
    run.wide_sums = place(sums, sizeof(int32_t), &run.worker);
    run.floats = place(i4q_conv_float_scratch(job), 1, &run.worker);
    place(packed->count, sizeof(size_t), &run.total);
    run.workers = place(job->workers->workers, run.worker, &run.total);
    return run;
}

static size_t scratch(const struct i4q_conv_job *job)
{
    return make_run(job).total;
}

static void find_offsets(const struct run *run)
{
    const struct packed *packed = run->job->conv->packed;
    const struct i4q_conv_shape *shape = &run->job->conv->shape;
    const struct layout *layout = &run->layout;
    size_t *offsets = (size_t *)(void *)run->job->scratch;
    for (size_t t = 0; t < packed->count; t++) {
        size_t down = t / packed->per_row * shape->dilations[0], across = t % packed->per_row;
        offsets[t] = down % shape->strides[0] * layout->phase_bytes +
                     down / shape->strides[0] * layout->pitch +
                     across * (packed->single ? shape->dilations[1] : 2);
    }
}

/* A strip of Y: where its pixels are in the plane, and what they become. */
struct strip {
    const uint8_t *pixels;
    size_t rows, count; /* of Y; sums of these rows as they lie */
    float *y;
};

static void widen(const int16_t *sums, size_t n, bool add, int32_t *wide)
{
    for (size_t i = 0; i < n; i++)
        wide[i] = (add ? wide[i] : 0) + sums[i];
}

/* In runs, whose sums are added up in 32 bits. */
static void compute_in_runs(const struct run *run, size_t o, const struct strip *strip,
                            const struct i4q_conv_finish *finish, char *worker)
{
    const struct i4q_conv *conv = run->job->conv;
    const struct packed *packed = conv->packed;
    const size_t *offsets = (const size_t *)(const void *)run->job->scratch;
    int16_t *sums = (int16_t *)(void *)(worker + run->sums);
    int32_t *wide = (int32_t *)(void *)(worker + run->wide_sums);
    for (size_t t = 0, n; t < packed->count; t += n) {
        n = packed->count - t < packed->runs[o] ? packed->count - t : packed->runs[o];
        conv->set->depthwise->add_up[conv->shape.strides[1] - 1](
            strip->pixels, offsets + t, packed->taps + o * packed->count + t, n, 0, strip->count, sums);
        widen(sums, strip->count, t > 0, wide);
    }
    for (size_t row = 0; row < strip->rows; row++)
        conv->set->finish(wide + row * run->layout.y_pitch, run->job->output[1], finish,
                          strip->y + row * run->job->output[1]);
}

/* All at once: sums fit 16 bits, and so they do less the zero point. */
static void compute_at_once(const struct run *run, size_t o, const struct strip *strip,
                            const struct i4q_conv_finish *finish, char *worker)
{
    const struct i4q_conv *conv = run->job->conv;
    const struct packed *packed = conv->packed;
    const size_t *offsets = (const size_t *)(const void *)run->job->scratch;
    int16_t *sums = (int16_t *)(void *)(worker + run->sums);
    conv->set->depthwise->add_up[conv->shape.strides[1] - 1](
        strip->pixels, offsets, packed->taps + o * packed->count, packed->count, (int16_t)-finish->correction,
        strip->count, sums);
    conv->set->depthwise->finish(sums, strip->rows, run->job->output[1], run->layout.y_pitch, finish,
                                 strip->y);
}

static void compute_output(const struct run *run, size_t o, const struct i4q_conv_grid *grid, char *worker)
{
    const struct i4q_conv_job *job = run->job;
    const struct packed *packed = job->conv->packed;
    const struct layout *layout = &run->layout;
    const struct i4q_conv_finish finish = {
        .correction = (grid->zero - job->conv->set->depthwise->origin) * packed->sums[o],
        .scale = grid->scale * job->conv->row_scales[o],
        .bias = job->conv->bias[o],
        .activation = &job->conv->activation,
    };
    float *y = job->y + o * job->output[0] * job->output[1];
    bool at_once = packed->runs[o] == packed->count;
    for (size_t row = 0; row < job->output[0]; row += layout->strip) {
        struct strip strip = {(const uint8_t *)worker + row * layout->pitch, job->output[0] - row,
                              .y = y + row * job->output[1]};
        strip.rows = strip.rows < layout->strip ? strip.rows : layout->strip;
        strip.count = (strip.rows - 1) * layout->y_pitch + job->output[1];
        (at_once ? compute_at_once : compute_in_runs)(run, o, &strip, &finish, worker);
    }
}

static void find_grid(const struct i4q_conv_job *job, const float *x, struct i4q_conv_grid *grid)
{
    struct i4q_conv_range range = {0, 0, true};
    job->conv->set->range(x, job->height * job->width, &range);
    *grid = i4q_conv_make_grid(&range);
}

static void run_channel(const struct run *run, size_t channel, char *worker)
{
    const struct i4q_conv_job *job = run->job;
    const float *x = job->x + channel * job->height * job->width;
    size_t each = job->conv->shape.outputs / job->conv->shape.channels;
    struct i4q_conv_grid grid = job->conv->input;
    if (!grid.possible)
        find_grid(job, x, &grid);
    for (size_t phase = 0; grid.possible && phase < run->layout.phases; phase++)
        fill_phase(job, &run->layout, x, phase, &grid, (uint8_t *)worker + phase * run->layout.phase_bytes);
    for (size_t o = channel * each; o < (channel + 1) * each; o++) {
        if (grid.possible)
            compute_output(run, o, &grid, worker);
        else
            i4q_conv_float_output(job, o, worker + run->floats);
    }
}

static void run_channels(const void *context, size_t index, size_t first, size_t end)
{
    const struct run *run = context;
    for (size_t channel = first; channel < end; channel++)
        run_channel(run, channel, run->job->scratch + run->workers + index * run->worker);
}

static void run(const struct i4q_conv_job *job)
{
    const struct run run = make_run(job);
    find_offsets(&run);
    i4q_conv_share(job->workers, job->conv->shape.channels, run_channels, &run);
}

const struct i4q_conv_algorithm i4q_conv_depthwise = {takes, pack, scratch, run, .finds_grids = true};

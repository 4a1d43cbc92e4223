// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise_impl.h"

enum { STRIP = 4096 }; /* sums that are computed, and then finished, at a time: they fit the nearest cache */

/* Scratch, as offsets: what all workers share, then what each has. */
struct places {
    size_t phases, offsets, workers, total;
    size_t planes, bytes, sums, wide_sums, floats, worker; /* of a worker; the last is all that it has */
};

struct run {
    const struct i4q_conv_job *job;
    struct i4q_depthwise_planes planes;
    struct places at;
    size_t strip; /* rows of Y */
};

static struct run make_run(const struct i4q_conv_job *job)
{
    const struct i4q_depthwise_packed *packed = job->conv->packed;
    struct run run = {job, i4q_depthwise_lay_out(job)};
    struct places *at = &run.at;
    run.strip = run.planes.y_pitch < STRIP ? STRIP / run.planes.y_pitch : 1;
    size_t sums = run.strip * run.planes.y_pitch + I4Q_DEPTHWISE_SLACK;
    at->planes = i4q_depthwise_place(run.planes.phases, run.planes.bytes, &at->worker);
    at->bytes = i4q_depthwise_place(job->height * job->width + I4Q_DEPTHWISE_SLACK, 1, &at->worker);
    at->sums = i4q_depthwise_place(sums, sizeof(int16_t), &at->worker);
    at->wide_sums = i4q_depthwise_place(sums, sizeof(int32_t), &at->worker);
    at->floats = i4q_depthwise_place(i4q_conv_float_scratch(job), 1, &at->worker);
    at->phases = i4q_depthwise_place(run.planes.phases, sizeof(struct i4q_depthwise_phase), &at->total);
    at->offsets = i4q_depthwise_place(packed->count, sizeof(size_t), &at->total);
    at->workers = i4q_depthwise_place(job->workers->workers, at->worker, &at->total);
    return run;
}

static size_t scratch(const struct i4q_conv_job *job)
{
    return make_run(job).at.total;
}

static size_t *offsets_of(const struct run *run)
{
    return (size_t *)(void *)(run->job->scratch + run->at.offsets);
}

static struct i4q_depthwise_phase *phases_of(const struct run *run)
{
    return (struct i4q_depthwise_phase *)(void *)(run->job->scratch + run->at.phases);
}

/* ---- outputs */

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
    const struct i4q_depthwise_packed *packed = conv->packed;
    int16_t *sums = (int16_t *)(void *)(worker + run->at.sums);
    int32_t *wide = (int32_t *)(void *)(worker + run->at.wide_sums);
    for (size_t t = 0, n; t < packed->count; t += n) {
        n = packed->count - t < packed->runs[o] ? packed->count - t : packed->runs[o];
        conv->set->depthwise->add_up[conv->shape.strides[1] - 1](strip->pixels, offsets_of(run) + t,
                                                                 packed->taps + o * packed->count + t, n, 0,
                                                                 strip->count, sums);
        widen(sums, strip->count, t > 0, wide);
    }
    for (size_t row = 0; row < strip->rows; row++)
        conv->set->finish(wide + row * run->planes.y_pitch, run->job->output[1], finish,
                          strip->y + row * run->job->output[1]);
}

/* All at once: sums fit 16 bits, and so they do less the zero point. */
static void compute_at_once(const struct run *run, size_t o, const struct strip *strip,
                            const struct i4q_conv_finish *finish, char *worker)
{
    const struct i4q_conv *conv = run->job->conv;
    const struct i4q_depthwise_packed *packed = conv->packed;
    int16_t *sums = (int16_t *)(void *)(worker + run->at.sums);
    conv->set->depthwise->add_up[conv->shape.strides[1] - 1](
        strip->pixels, offsets_of(run), packed->taps + o * packed->count, packed->count,
        (int16_t)-finish->correction, strip->count, sums);
    conv->set->depthwise->finish(sums, strip->rows, run->job->output[1], run->planes.y_pitch, finish,
                                 strip->y);
}

static void compute_output(const struct run *run, size_t o, const struct i4q_conv_grid *grid, char *worker)
{
    const struct i4q_conv_job *job = run->job;
    const struct i4q_depthwise_packed *packed = job->conv->packed;
    const struct i4q_conv_finish finish = {
        .correction = (grid->zero - job->conv->set->depthwise->origin) * packed->sums[o],
        .scale = grid->scale * job->conv->row_scales[o],
        .bias = job->conv->bias[o],
        .activation = &job->conv->activation,
    };
    float *y = job->y + o * job->output[0] * job->output[1];
    bool at_once = packed->runs[o] == packed->count;
    for (size_t row = 0; row < job->output[0]; row += run->strip) {
        struct strip strip = {(const uint8_t *)worker + row * run->planes.pitch, job->output[0] - row,
                              .y = y + row * job->output[1]};
        strip.rows = strip.rows < run->strip ? strip.rows : run->strip;
        strip.count = (strip.rows - 1) * run->planes.y_pitch + job->output[1];
        (at_once ? compute_at_once : compute_in_runs)(run, o, &strip, &finish, worker);
    }
}

static void find_grid(const struct i4q_conv_job *job, const float *x, struct i4q_conv_grid *grid)
{
    struct i4q_conv_range range = {0, 0, true};
    job->conv->set->range(x, job->height * job->width, &range);
    *grid = i4q_conv_make_grid(&range);
}

static void make_planes(const struct run *run, const float *x, const struct i4q_conv_grid *grid, char *worker)
{
    const struct i4q_conv *conv = run->job->conv;
    uint8_t *bytes = (uint8_t *)worker + run->at.bytes, *planes = (uint8_t *)worker + run->at.planes;
    conv->set->depthwise->quantize(x, run->job->height * run->job->width, grid, conv->input.possible, bytes);
    for (size_t phase = 0; phase < run->planes.phases; phase++)
        conv->set->depthwise->lay(phases_of(run) + phase, bytes, grid->zero,
                                  planes + phase * run->planes.bytes);
}

static void run_channel(const struct run *run, size_t channel, char *worker)
{
    const struct i4q_conv_job *job = run->job;
    const float *x = job->x + channel * job->height * job->width;
    size_t each = job->conv->shape.outputs / job->conv->shape.channels;
    struct i4q_conv_grid grid = job->conv->input;
    if (!grid.possible)
        find_grid(job, x, &grid);
    if (grid.possible)
        make_planes(run, x, &grid, worker);
    for (size_t o = channel * each; o < (channel + 1) * each; o++) {
        if (grid.possible)
            compute_output(run, o, &grid, worker);
        else
            i4q_conv_float_output(job, o, worker + run->at.floats);
    }
}

static void run_channels(const void *context, size_t index, size_t first, size_t end)
{
    const struct run *run = context;
    for (size_t channel = first; channel < end; channel++)
        run_channel(run, channel, run->job->scratch + run->at.workers + index * run->at.worker);
}

static void run(const struct i4q_conv_job *job)
{
    const struct run run = make_run(job);
    i4q_depthwise_phases(job, &run.planes, phases_of(&run));
    i4q_depthwise_offsets(job, &run.planes, offsets_of(&run));
    i4q_conv_share(job->workers, job->conv->shape.channels, run_channels, &run);
}

const struct i4q_conv_algorithm i4q_conv_depthwise = {i4q_depthwise_takes, i4q_depthwise_pack, scratch, run,
                                                      .finds_grids = true};

// SPDX-License-Identifier: Apache-2.0
#include "quantize/encode.h"

#include "base/bits.h"
#include "base/half.h"

#include <math.h>
#include <string.h>

enum { FUSED_BITS = 4 }; /* of a code of the kernel encode4 */

/* ---- figures */

void i4q_figures_add(struct i4q_figures *figures, const struct i4q_figures *more)
{
    figures->failed |= more->failed;
    figures->finite &= more->finite;
    figures->moved += more->moved;
    figures->clipped += more->clipped;
    figures->drift = fmax(figures->drift, more->drift);
    i4q_error_add(&figures->sums, &more->sums);
}

bool i4q_figures_tell(const struct i4q_figures *figures, struct i4q_quantize_job *job,
                      struct i4q_error *error)
{
    job->finite = figures->finite;
    job->moved = figures->moved;
    job->clipped = figures->clipped;
    job->drift = figures->drift;
    job->signal = figures->sums.signal;
    job->noise = figures->sums.noise;
    job->max_error = figures->sums.max_error;
    job->sqnr_db = i4q_error_sqnr(&figures->sums);
    return !figures->failed || i4q_fail_memory(error);
}

/* ---- one run */

bool i4q_extent_add(struct i4q_extent *extent, const struct i4q_kernels *kernels,
                    const struct i4q_method *method, const void *weights, size_t n)
{
    float absmax = kernels->absmax(weights, n), min = 0, max = 0;
    if (!isfinite(absmax))
        return false;
    if (i4q_grid_needs_range(method))
        kernels->range(weights, n, &min, &max);
    extent->absmax = fmaxf(extent->absmax, absmax);
    extent->min = fminf(extent->min, min);
    extent->max = fmaxf(extent->max, max);
    return true;
}

void i4q_encode_measure(const struct i4q_kernels *kernels, const struct i4q_quantize_job *job,
                        const struct i4q_grid *grid, const void *weights, const int8_t *codes, size_t n,
                        float *decoded, struct i4q_error_sums *sums)
{
    kernels->dequantize(codes, n, grid->scale, grid->zero, decoded);
    if (job->half)
        i4q_half_round(decoded, n);
    kernels->measure(weights, decoded, n, i4q_error_unit(grid->scale * (float)(grid->high - grid->low)),
                     sums);
}

void i4q_encode_pack(const struct i4q_kernels *kernels, const struct i4q_format *format, const int8_t *codes,
                     size_t n, uint8_t *packed)
{
    if (format->bits == 8)
        memcpy(packed, codes, n);
    else
        kernels->pack(codes, n, format->bits, packed);
}

/* ---- the encoder */

void i4q_encoder_open(struct i4q_encoder *encoder, const struct i4q_kernels *kernels,
                      const struct i4q_quantize_job *job, size_t start)
{
    encoder->kernels = kernels;
    encoder->job = job;
    encoder->staged = 0;
    encoder->written = job->codes + i4q_format_bytes(job->format, start);
}

/* Empties the stage; codes that end within a byte wait for those that share it, unless they are the last. */
static void flush(struct i4q_encoder *encoder, bool last)
{
    const struct i4q_format *format = encoder->job->format;
    size_t rest = last ? 0 : encoder->staged % i4q_bits_even(format->bits), n = encoder->staged - rest;
    if (!n)
        return;
    i4q_encode_pack(encoder->kernels, format, encoder->stage, n, encoder->written);
    encoder->written += i4q_format_bytes(format, n);
    memmove(encoder->stage, encoder->stage + n, rest);
    encoder->staged = rest;
}

void i4q_encoder_close(struct i4q_encoder *encoder)
{
    flush(encoder, true);
}

/* n <= I4Q_RUN elements from `start` on, as binary32 of any alignment; valid until the next call. */
static const void *load(struct i4q_encoder *encoder, size_t start, size_t n)
{
    const struct i4q_quantize_job *job = encoder->job;
    const char *weights = (const char *)job->weights + start * i4q_job_element(job);
    if (!job->half && !job->factors)
        return weights;
    if (job->half)
        encoder->kernels->widen16(weights, n, encoder->widened);
    else
        memcpy(encoder->widened, weights, n * sizeof *encoder->widened);
    i4q_job_multiply(job, start, n, encoder->widened);
    return encoder->widened;
}

bool i4q_encoder_extend(struct i4q_encoder *encoder, size_t start, size_t n, struct i4q_extent *extent)
{
    for (size_t i = 0; i < n; i += I4Q_RUN) {
        size_t part = n - i < I4Q_RUN ? n - i : I4Q_RUN;
        const void *weights = load(encoder, start + i, part);
        if (!i4q_extent_add(extent, encoder->kernels, encoder->job->method, weights, part))
            return false;
    }
    return true;
}

/* Codes that stand behind those on the stage join them. */
static void stage(struct i4q_encoder *encoder, size_t n)
{
    encoder->staged += n;
    if (encoder->staged > I4Q_STAGE - I4Q_RUN)
        flush(encoder, false);
}

/* Whether the fused kernel can do it: not FLOAT16, no other width, no byte shared with another run, no scale
 * beyond all measure. */
static bool may_fuse(const struct i4q_encoder *encoder, size_t n, const struct i4q_grid *grid)
{
    const struct i4q_quantize_job *job = encoder->job;
    return !job->half && job->format->bits == FUSED_BITS && n % 2 == 0 && encoder->staged % 2 == 0 &&
           i4q_encode4_takes(grid->scale);
}

/* n <= I4Q_RUN */
static void round_run(struct i4q_encoder *encoder, size_t start, size_t n, const struct i4q_grid *grid,
                      struct i4q_error_sums *sums)
{
    const struct i4q_kernels *kernels = encoder->kernels;
    const void *weights = load(encoder, start, n);
    int8_t *codes = encoder->stage + encoder->staged;
    if (may_fuse(encoder, n, grid)) {
        flush(encoder, false);
        kernels->encode4(weights, n, grid, encoder->written, sums);
        encoder->written += i4q_format_bytes(encoder->job->format, n);
        return;
    }
    kernels->quantize(weights, n, grid, codes);
    i4q_encode_measure(kernels, encoder->job, grid, weights, codes, n, encoder->decoded, sums);
    stage(encoder, n);
}

void i4q_encoder_round(struct i4q_encoder *encoder, size_t start, size_t n, const struct i4q_grid *grid,
                       struct i4q_error_sums *sums)
{
    for (size_t i = 0; i < n; i += I4Q_RUN)
        round_run(encoder, start + i, n - i < I4Q_RUN ? n - i : I4Q_RUN, grid, sums);
}

void i4q_encoder_take(struct i4q_encoder *encoder, size_t start, size_t n, const struct i4q_grid *grid,
                      const int8_t *codes, struct i4q_error_sums *sums)
{
    memcpy(encoder->stage + encoder->staged, codes, n);
    i4q_encode_measure(encoder->kernels, encoder->job, grid, load(encoder, start, n), codes, n,
                       encoder->decoded, sums);
    stage(encoder, n);
}

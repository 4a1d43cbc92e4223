// SPDX-License-Identifier: Apache-2.0
/*
 * Scales, codes and error figures of weights. Knows numbers, nothing of models: a weight is [outer, channels,
 * inner], of which the output channels each have a scale. Conv weights have outer = 1; what lies behind the
 * channel axis is flattened. With blocks (outer = 1 only) each run of `block` elements of a channel has one,
 * the last run may be shorter.
 *
 * absmax, in IEEE 754 binary32 without fused multiply-add, rounding half to even:
 *     a[o] = max |W[o, ...]|,  s[o] = a[o] / qmax,  s[o] = 1 where that is 0
 *     q    = clamp(rint(W[o, ...] / s[o]), -qmax, qmax)
 * Other methods: see method.h.
 * For FLOAT16 weights W is widened exactly, s is rounded to binary16 (2^-24 where that gives 0 and a is not
 * 0) before the codes are taken, and a decoded weight is float(q) * s rounded to binary16.
 */
#ifndef INT4Q_QUANTIZE_QUANTIZE_H
#define INT4Q_QUANTIZE_QUANTIZE_H

#include "base/error.h"
#include "kernels/sets.h"
#include "quantize/format.h"
#include "quantize/method.h"
#include "quantize/moments.h"

#include <stddef.h>
#include <stdint.h>

/* One weight: the caller fills the upper part and owns every buffer; i4q_quantize fills the rest. */
struct i4q_quantize_job {
    const void *weights; /* outer * channels * inner elements, row-major, little-endian, any alignment */
    bool half;           /* FLOAT16 elements (2 bytes); else FLOAT (4 bytes) */
    size_t outer, channels, inner;
    size_t block; /* elements that share a scale; 0: a whole channel */
    const struct i4q_format *format;
    const struct i4q_method *method;
    uint8_t *codes;       /* i4q_format_bytes(format, number of elements) bytes */
    void *scales;         /* [channels, i4q_quantize_blocks()] of the weight's own type, any alignment */
    uint8_t *zero_points; /* the same number of 4-bit codes, zeroed before; NULL: format->zero for all */

    /* For methods that look at more than one weight; outer = 1 only. */
    size_t kernel;                     /* elements of an input channel, consecutive; 0: one */
    const struct i4q_moments *moments; /* of the inputs, with k = inner; NULL: not known */
    double *bias;   /* [channels], filled with sum (w - decoded) E[x]; NULL: not wanted, as without moments */
    int8_t *chosen; /* for the quantizer's own use */

    bool finite; /* false: a NaN or an infinity among the weights; codes, scales and figures are then void */
    double sqnr_db;  /* 10 log10(sum w^2 / sum (w - decoded)^2); INFINITY when no error, NAN when all weights
                        are 0 */
    float max_error; /* largest |w - decoded| */
    double signal, noise; /* the sums of sqnr_db */
    double drift;         /* largest |sum of errors| of a channel, in steps; NAN when not known */
    size_t moved;         /* codes that are not the nearest ones to their weights */
    size_t clipped;       /* weights more than half a step beyond the grid */
    double output_signal,
        output_noise; /* estimated power of the outputs and of their error; 0: no estimate */
};

/* Scales that a channel has: 1, or one a block. */
size_t i4q_quantize_blocks(const struct i4q_quantize_job *job);

/* The zero point of scale `index` (channel * blocks + block). */
int i4q_quantize_zero_point(const struct i4q_quantize_job *job, size_t index);

/* The grid of scale `index`, to and from the buffers of the job. No two threads may store grids of which one
 * has an even index and the other the next. */
void i4q_quantize_store_grid(const struct i4q_quantize_job *job, size_t index, const struct i4q_grid *grid);
struct i4q_grid i4q_quantize_load_grid(const struct i4q_quantize_job *job, size_t index);

struct i4q_quantize_options {
    const struct i4q_kernels *kernels;
    unsigned threads; /* 0: one a processor */
    /* Called, on any thread, when some more bytes of weights are done with; may be NULL. */
    void (*done)(void *context, size_t bytes);
    void *context;
};

/* Quantizes all jobs, in chunks of rows spread over the threads. The results do not depend on the number of
 * threads or on the kernel set. I4Q_FAILED: no memory; I4Q_MODEL: moments that are not finite. */
bool i4q_quantize(const struct i4q_quantize_options *options, struct i4q_quantize_job *jobs, size_t count,
                  struct i4q_error *error) I4Q_MUST_CHECK;

#endif

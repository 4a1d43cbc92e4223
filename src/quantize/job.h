// SPDX-License-Identifier: Apache-2.0
/*
 * One weight on its way to codes. Knows numbers, nothing of models: a weight is [outer, channels, inner], of
 * which the output channels each have a scale. Conv weights have outer = 1; what lies behind the channel axis
 * is flattened. With blocks (outer = 1 only) each run of `block` elements of a channel has one, the last run
 * may be shorter.
 *
 * The first part says what is to be made, and every size follows from it: a job without buffers has a price.
 */
#ifndef INT4Q_QUANTIZE_JOB_H
#define INT4Q_QUANTIZE_JOB_H

#include "base/error.h"
#include "quantize/format.h"
#include "quantize/grid.h"
#include "quantize/method.h"
#include "quantize/moments.h"

#include <stddef.h>
#include <stdint.h>

struct i4q_quantize_job {
    const struct i4q_format *format;
    size_t outer, channels, inner;
    size_t block;    /* elements that share a scale; 0: a whole channel */
    bool half;       /* FLOAT16 elements (2 bytes) and scales; else FLOAT (4 bytes) */
    bool narrow;     /* FLOAT elements, and scales that FLOAT16 can hold; outer = 1 only */
    bool asymmetric; /* a zero point for each scale; else format->zero for all */

    /* The caller fills this too, and owns every buffer. */
    const struct i4q_method *method;
    const void *weights;  /* outer * channels * inner elements, row-major, little-endian, any alignment */
    uint8_t *codes;       /* i4q_job_code_bytes() */
    void *scales;         /* i4q_job_scales() of the weight's own type, any alignment */
    uint8_t *zero_points; /* where asymmetric: as many codes, zeroed before; else NULL */

    /* For methods that look at more than one weight; outer = 1 only. */
    size_t kernel;        /* elements of an input channel, consecutive; 0: one */
    size_t groups;        /* of output channels, each with input channels of its own; 0: one */
    const float *factors; /* [groups, inner / kernel] that the input channels were divided by: weights
                             are multiplied by them before all else; NULL: by 1. outer = 1 only */
    const struct i4q_moments *moments; /* of the inputs, with k = inner; NULL: not known */
    double *bias;   /* [channels], filled with sum (w - decoded) E[x]; NULL: not wanted, as without moments */
    int8_t *chosen; /* for the quantizer's own use */

    /* i4q_quantize() fills the rest. */
    bool failed; /* what it fails by is in this job */
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

struct i4q_quantize_options {
    const struct i4q_kernels *kernels;
    unsigned threads; /* 0: one a processor */
    /* Called, on any thread, when some more bytes of weights are done with; may be NULL. */
    void (*done)(void *context, size_t bytes);
    void *context;
};

/* Weights, scales that a channel has (1, or one a block), and all scales. */
size_t i4q_job_count(const struct i4q_quantize_job *job);
size_t i4q_job_blocks(const struct i4q_quantize_job *job);
size_t i4q_job_scales(const struct i4q_quantize_job *job);

/* Multiplies n weights, which are those from element `start` on, by the factors of their input channels. */
void i4q_job_multiply(const struct i4q_quantize_job *job, size_t start, size_t n, float *weights);

/* Bytes of a weight or scale, of all codes, of all scales, and of all zero points as codes. */
size_t i4q_job_element(const struct i4q_quantize_job *job);
size_t i4q_job_code_bytes(const struct i4q_quantize_job *job);
size_t i4q_job_scale_bytes(const struct i4q_quantize_job *job);
size_t i4q_job_zero_bytes(const struct i4q_quantize_job *job);

/* Whether there is a zero point other than 0 to subtract from codes. */
bool i4q_job_has_zero_points(const struct i4q_quantize_job *job);

/* The zero point of scale `index` (channel * blocks + block). */
int i4q_job_zero_point(const struct i4q_quantize_job *job, size_t index);

/* The grid as the job can store it: with `narrow`, by the next larger scale that FLOAT16 has. */
struct i4q_grid i4q_job_fit_grid(const struct i4q_quantize_job *job, const struct i4q_grid *grid);

/* The grid of scale `index`, to and from the buffers of the job. Threads that store grids do so from a
 * multiple of i4q_bits_even(bits) on, since zero points share bytes. */
void i4q_job_store_grid(const struct i4q_quantize_job *job, size_t index, const struct i4q_grid *grid);
struct i4q_grid i4q_job_load_grid(const struct i4q_quantize_job *job, size_t index);

/* Gives a channel (outer = 1, no blocks, codes of 1, 2, 4 or 8 bits) that was quantized another, larger
 * scale, and what its codes stood for the nearest ones. */
void i4q_job_rescale(const struct i4q_quantize_job *job, size_t channel, float scale);

/* What the code of weight i stands for; outer = 1 only. */
double i4q_job_decoded(const struct i4q_quantize_job *job, size_t i);

#endif

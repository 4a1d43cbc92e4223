// SPDX-License-Identifier: Apache-2.0
/* Runs of weights that share a grid become codes in the payload of their job, and errors in its figures. */
#ifndef INT4Q_QUANTIZE_ENCODE_H
#define INT4Q_QUANTIZE_ENCODE_H

#include "kernels/sets.h"
#include "quantize/job.h"

enum {
    I4Q_STAGE = 2 * I4Q_RUN, /* codes that wait for being packed */
};

/* What the weights of a part of a job come to. */
struct i4q_figures {
    bool finite, failed; /* failed: for want of memory */
    size_t moved, clipped;
    double drift; /* of the channel that has the largest */
    struct i4q_error_sums sums;
};

/* Adds those of another part. */
void i4q_figures_add(struct i4q_figures *figures, const struct i4q_figures *more);

/* Tells the job what all its parts come to; I4Q_FAILED: one of them failed. */
bool i4q_figures_tell(const struct i4q_figures *figures, struct i4q_quantize_job *job,
                      struct i4q_error *error) I4Q_MUST_CHECK;

/* Extends an extent by n elements of binary32; false if one of them is not finite. */
bool i4q_extent_add(struct i4q_extent *extent, const struct i4q_kernels *kernels,
                    const struct i4q_method *method, const void *weights, size_t n) I4Q_MUST_CHECK;

/* Adds the errors of n <= I4Q_RUN codes to `sums`. `decoded` is room for what they stand for. */
void i4q_encode_measure(const struct i4q_kernels *kernels, const struct i4q_quantize_job *job,
                        const struct i4q_grid *grid, const void *weights, const int8_t *codes, size_t n,
                        float *decoded, struct i4q_error_sums *sums);

/* Packs n codes from a whole byte on. */
void i4q_encode_pack(const struct i4q_kernels *kernels, const struct i4q_format *format, const int8_t *codes,
                     size_t n, uint8_t *packed);

/* ---- consecutive elements of a job with outer = 1. All that a thread needs is at hand; about 40 KiB, for
 * its stack. */

struct i4q_encoder {
    const struct i4q_kernels *kernels;
    const struct i4q_quantize_job *job;
    float widened[I4Q_RUN], decoded[I4Q_RUN];
    int8_t stage[I4Q_STAGE];
    size_t staged;
    uint8_t *written; /* where the first staged code goes */
};

/* Codes from element `start` on, which begins with a whole byte, are to come. */
void i4q_encoder_open(struct i4q_encoder *encoder, const struct i4q_kernels *kernels,
                      const struct i4q_quantize_job *job, size_t start);

/* Writes what still waits. */
void i4q_encoder_close(struct i4q_encoder *encoder);

/* Extends `extent` by n elements; false if one of them is not finite. */
bool i4q_encoder_extend(struct i4q_encoder *encoder, size_t start, size_t n,
                        struct i4q_extent *extent) I4Q_MUST_CHECK;

/* The next n elements are those from `start` on, by their nearest codes. */
void i4q_encoder_round(struct i4q_encoder *encoder, size_t start, size_t n, const struct i4q_grid *grid,
                       struct i4q_error_sums *sums);

/* The next n <= I4Q_RUN elements are those from `start` on, by the codes given. What they stand for is in
 * `decoded` then. */
void i4q_encoder_take(struct i4q_encoder *encoder, size_t start, size_t n, const struct i4q_grid *grid,
                      const int8_t *codes, struct i4q_error_sums *sums);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Codes for whole rows (output channels), by the methods that look at more than one weight at a time. */
#ifndef INT4Q_QUANTIZE_ROWS_H
#define INT4Q_QUANTIZE_ROWS_H

#include "quantize/encode.h"
#include "quantize/gptq.h"
#include "quantize/squant.h"

/* One row of a job, and room to work on it. */
struct i4q_chooser {
    const struct i4q_kernels *kernels;
    const struct i4q_quantize_job *job;
    void *memory; /* owns what follows */
    float *weights;
    struct i4q_grid *grids;
    int8_t *codes, *nearest;
    struct i4q_squant_room room;
    struct i4q_row row; /* the arrays above */
};

/* Whether the codes of a job are chosen row by row; else each weight's depends on nothing but its scale. */
bool i4q_choose_by_rows(const struct i4q_quantize_job *job);

/* Whether the choice takes all rows of a weight together. */
bool i4q_choose_by_moments(const struct i4q_quantize_job *job);

/* False only when memory runs out. To be closed in any case. */
bool i4q_chooser_open(struct i4q_chooser *chooser, const struct i4q_kernels *kernels,
                      const struct i4q_quantize_job *job) I4Q_MUST_CHECK;
void i4q_chooser_close(struct i4q_chooser *chooser);

/* Reads a row and chooses its grids; false if a weight is not finite. */
bool i4q_chooser_load(struct i4q_chooser *chooser, size_t channel) I4Q_MUST_CHECK;

/* Chooses the codes of the row that was loaded, without moments, or takes `chosen` where that is not NULL. */
void i4q_chooser_round(struct i4q_chooser *chooser, const int8_t *chosen);

/* How many codes of the row are not the nearest ones. */
size_t i4q_chooser_moved(const struct i4q_chooser *chooser);

/* Quantizes some channels of a job: chooses their codes, or takes those that the job holds. */
void i4q_quantize_rows(struct i4q_encoder *encoder, size_t channel, size_t channels,
                       struct i4q_figures *figures);

/* Chooses the codes of a whole job by its moments: `codes` [channels * inner]. A weight that is not finite
 * leaves its row as it is, to be found by whoever loads it. Fails as i4q_reconstruct does. */
bool i4q_choose_job(const struct i4q_kernels *kernels, unsigned threads, const struct i4q_quantize_job *job,
                    int8_t *codes, struct i4q_output_error *output, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* Codes for whole rows (output channels), by the methods that look at more than one weight at a time. */
#ifndef INT4Q_QUANTIZE_ROWS_H
#define INT4Q_QUANTIZE_ROWS_H

#include "quantize/encode.h"
#include "quantize/gptq.h"

/* Whether the codes of a job are chosen row by row; else each weight's depends on nothing but its scale. */
bool i4q_choose_by_rows(const struct i4q_quantize_job *job);

/* Whether the choice takes all rows of a weight together. */
bool i4q_choose_by_moments(const struct i4q_quantize_job *job);

/* Quantizes some channels of a job: chooses their codes, or takes those that the job holds. */
void i4q_quantize_rows(struct i4q_encoder *encoder, size_t channel, size_t channels,
                       struct i4q_figures *figures);

/* Chooses the codes of a whole job by its moments: `codes` [channels * inner]. A weight that is not finite
 * leaves its row as it is, to be found by whoever loads it. Fails as i4q_reconstruct does. */
bool i4q_choose_job(const struct i4q_kernels *kernels, unsigned threads, const struct i4q_quantize_job *job,
                    int8_t *codes, struct i4q_output_error *output, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

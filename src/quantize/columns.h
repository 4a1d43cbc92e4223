// SPDX-License-Identifier: Apache-2.0
/* Weights whose output channels do not come first: [outer, channels, inner] with outer > 1, as those of
 * ConvTranspose, Gemm and MatMul. Part of i4q_quantize(). */
#ifndef INT4Q_QUANTIZE_COLUMNS_H
#define INT4Q_QUANTIZE_COLUMNS_H

#include "quantize/job.h"

/* Fills one such job, without blocks, all threads at it. I4Q_FAILED: no memory. */
bool i4q_quantize_scattered(const struct i4q_quantize_options *options, struct i4q_quantize_job *job,
                            struct i4q_error *error) I4Q_MUST_CHECK;

#endif

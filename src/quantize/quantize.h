// SPDX-License-Identifier: Apache-2.0
/*
 * Scales, codes and error figures of weights, see job.h.
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
#include "quantize/job.h"

/* Quantizes all jobs, in chunks of rows spread over the threads. The results do not depend on the number of
 * threads or on the kernel set. I4Q_FAILED: no memory; I4Q_MODEL: moments that are not finite, of the
 * job that is `failed` then. */
bool i4q_quantize(const struct i4q_quantize_options *options, struct i4q_quantize_job *jobs, size_t count,
                  struct i4q_error *error) I4Q_MUST_CHECK;

#endif

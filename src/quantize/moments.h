// SPDX-License-Identifier: Apache-2.0
/*
 * Second moments of what a Conv multiplies its weight with, and the matrix of the error that they imply.
 *
 * A weight [O, K] of a Conv with `groups` groups meets patches x of K = I/groups * kh * kw inputs. Over all
 * positions of all calibration images (zero padding included), mean = E[x] and second = E[x x^T]. The output
 * error of a row whose weights are off by e is then e^T second e, or e^T C e with the covariance
 * C = second - mean mean^T where the mean error is taken out of the bias.
 */
#ifndef INT4Q_QUANTIZE_MOMENTS_H
#define INT4Q_QUANTIZE_MOMENTS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { I4Q_KERNEL_RANK = 8 }; /* most spatial axes */

/* Little-endian binary32 numbers of any alignment, borrowed from the mapped file. */
struct i4q_moments {
    const void *mean;   /* [groups, k] */
    const void *second; /* [groups, k, k], symmetric; NULL: only the means are known */
    const void *target; /* [channels, k], finite: what the codes are to come near, in place of the weights;
                           NULL: the weights themselves */
    const void *shift;  /* [channels], finite: what the bias gains with the target; NULL: nothing */
    size_t groups, k;
    const float *factors; /* [groups, k / kernel] that the input channels are divided by; NULL: by 1 */
    double shrinkage;     /* for i4q_moments_covariance */
    size_t rank;          /* spatial axes of the kernel */
    int64_t kernel[I4Q_KERNEL_RANK];
};

/* Distance, in elements, of positions p and q of a kernel of this shape, both as flat indices. */
double i4q_kernel_distance(const int64_t *dims, size_t rank, size_t p, size_t q);

/* Mean `i` of a group. */
float i4q_moments_mean(const struct i4q_moments *moments, size_t group, size_t i);

/* What the bias of a channel gains with the target. */
float i4q_moments_shift(const struct i4q_moments *moments, size_t channel);

/* How far a covariance is drawn towards a model of it: 0.3 for one image, falling to 0.1 for eight and more;
 * 0.3 in any case where blocks of a row have scales of their own. Measured, see docs/methods.md. */
double i4q_moments_shrinkage(size_t images, bool blocks);

/* Fills `a` [k, k] with the damped covariance of one group:
 *     (1 - s) C + s blockdiag_c(v_c B) + d I
 * Images tell little about how inputs vary together, so C is drawn by the shrinkage s towards a model of it:
 * input channels are independent, their variance v_c is half their own and half the mean one, and the
 * correlation within a kernel, B, halves with each step of distance. d = 1e-4 of the mean diagonal keeps it
 * positive definite. False: some number is not finite. */
bool i4q_moments_covariance(const struct i4q_moments *moments, size_t group, unsigned threads,
                            double *a) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * What Convs see, without a single image: a mean and a variance a channel, passed through the graph from the
 * image to the heads, each channel taken as normally distributed before its activation.
 *
 *   image       mean 0.44, variance 0.075: photographs scaled to 0..1
 *   Conv        mean_o = b_o + sum_c (sum_k w_oc) mean_c
 *               raw_o  = sum_c var_c w_oc^T B w_oc, where B, the correlation of neighbours, halves with each
 * step; of an image nine tenths are common to its channels var_o  = raw_o / m * sqrt(1.5 m * 0.7), m = median
 * of raw: inputs are not independent, and what a trained Conv gives varies by about 0.7 SiLU        x
 * sigmoid(x) of a normal distribution, integrated numerically Add         sums;  Concat, Split, Slice of
 * positions, Resize: copies;  MaxPool: mean + 1.2 sigma, 0.6 var
 *
 * The constants are fitted to YOLO detectors. Behind any other operator nothing is known, and nothing is
 * corrected; a net without SiLU, for which the constants were seen to do harm, stays as it is.
 */
#ifndef INT4Q_PROPAGATE_H
#define INT4Q_PROPAGATE_H

#include "int4q/plan.h"

/* For each of the plan's weights, the mean of each of its inputs [groups, k] as a Conv of the main graph
 * meets it, or NULL where it is not known, or where several Convs share the weight. In the model's arena.
 * False only when memory runs out. */
bool i4q_propagate_means(struct i4q_model *model, const struct i4q_plan *plan, unsigned threads,
                         const float **means) I4Q_MUST_CHECK;

#endif

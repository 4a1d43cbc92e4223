// SPDX-License-Identifier: Apache-2.0
/*
 * What Convs see, without a single image: a mean and a variance a channel, passed through the graph from the
 * image to the heads, each channel taken as normally distributed before its activation.
 *
 * Image: mean 0.44, variance 0.075, those of photographs scaled to 0..1.
 *
 * Conv: mean_o = b_o + sum_c (sum_k w_oc) mean_c and var_o = sum_c var_c w_oc^T B w_oc, where B, the
 * correlation of neighbours, halves with each step; of an image nine tenths are common to its channels.
 *
 * Conv whose output only other Convs read, without an activation between: mean 0. Its batch normalization has
 * centred it, and means that were passed on so far are not exact enough to find that out. If nothing is known
 * of its input, and what reads it are Convs and sums: variance 0.3 as well.
 *
 * Conv in a net with SiLU: the variances are scaled to var_o / m * sqrt(1.5 m * 0.7), m their median. Inputs
 * are not independent, and what a trained Conv gives there varies by about 0.7.
 *
 * BatchNormalization: its own offset and the square of its own scale, whatever comes in.
 *
 * Relu, LeakyRelu, Elu, Clip, Sigmoid, HardSigmoid, HardSwish, Tanh, and x times one of these, as SiLU is:
 * integrated numerically over the normal distribution.
 *
 * Add: sums. Mul: the product of independent numbers. GlobalAveragePool: the mean, variance 0. MaxPool: mean
 * + 1.2 sigma, 0.6 var. Concat, Split, Slice of positions, Resize, channel shuffle: copies.
 *
 * Behind any other operator nothing is known, and nothing is corrected.
 *
 * Effect and origin of the constants: docs/methods.md.
 */
#ifndef INT4Q_PLAN_MEANS_PROPAGATE_H
#define INT4Q_PLAN_MEANS_PROPAGATE_H

#include "forms/weights.h"

/* For each of the weights, the mean of each of its inputs [groups, k] as a Conv of the main graph
 * meets it, or NULL where it is not known, or where several Convs share the weight. In the model's arena.
 * False only when memory runs out. */
bool i4q_propagate_means(const struct i4q_weights *weights, unsigned threads,
                         const float **means) I4Q_MUST_CHECK;

#endif

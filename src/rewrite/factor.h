// SPDX-License-Identifier: Apache-2.0
/* Between the two scales of a quantized activation stands a factor, decoded_scale / scale, one for each
 * channel: who leaves the pair out, or one of the scales, has to multiply by it. */
#ifndef INT4Q_REWRITE_FACTOR_H
#define INT4Q_REWRITE_FACTOR_H

#include "forms/activation_read.h"

/* Dimensions of the tensor, by the ranks of the model, see onnx/ranks.h, or those of a Conv or ConvNBits that
 * reads or makes it. 0: not known. */
size_t i4q_factor_rank(const int64_t *ranks, const struct i4q_activation_pair *pair);

/* The axis as an index, or the rank when it is none. */
size_t i4q_factor_axis(const struct i4q_activation_pair *pair, size_t rank);

bool i4q_factor_has_same_zeros(const struct i4q_activation_pair *pair);

/* An initializer with the factors along the axis, of the scale's type, in the graph of the DequantizeLinear,
 * for a pair of this rank. Its name; NULL when memory runs out. */
const char *i4q_factor_add(struct i4q_model *model, const struct i4q_activation_pair *pair,
                           size_t rank) I4Q_MUST_CHECK;

#endif

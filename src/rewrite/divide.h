// SPDX-License-Identifier: Apache-2.0
/*
 * What floats do to activations with a scale a channel.
 *
 * ONNX Runtime 1.32 makes an integer operator of DequantizeLinear -> Conv with float weights ->
 * QuantizeLinear, weights quantized by itself, and then fails for want of one scale where QuantizeLinear has
 * one a channel. So, where DequantizeLinear behind it has one scale s:
 *
 *     T -> QuantizeLinear (scales s[c]) -> ... -> DequantizeLinear (s)
 *     T -> Mul (s / s[c]) -> QuantizeLinear (s) -> ... -> DequantizeLinear (s)
 *
 * which are the same but for rounding in the type of s.
 */
#ifndef INT4Q_REWRITE_DIVIDE_H
#define INT4Q_REWRITE_DIVIDE_H

#include "onnx/model.h"

/* Does so in the main graph wherever such an operator, its weight stored as floats, makes T; `count` says how
 * often. Pairs of which several share a QuantizeLinear stay. The model is indexed anew. */
bool i4q_divide_activations(struct i4q_model *model, size_t *count, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * Weights that are on a grid already although they are stored as floats, as quantization-aware training
 * leaves them: behind a Quant node (QONNX, Brevitas, older FINN), or integers in a float tensor that the
 * graph's annotation says so of (FINN). To quantize them again would cost accuracy that training has paid
 * for.
 */
#ifndef INT4Q_FORMS_FAKE_H
#define INT4Q_FORMS_FAKE_H

#include "forms/weight.h"

/* Whether the node is Quant, IntQuant or BipolarQuant of one of the domains that have them. */
bool i4q_is_quant(const Onnx__NodeProto *node);

/* Whether the Conv's weight is what such a node makes, behind any number of Identity, Transpose and Reshape
 * nodes. */
bool i4q_is_behind_quant(const struct i4q_conv *conv);

/* Whether the Conv's weight is surely made of stored integers: in one of the forms, or by a DequantizeLinear
 * whose numbers at most move before the Conv reads them. Other arithmetic on integers makes any numbers. */
bool i4q_is_decoded(const struct i4q_conv *conv);

/* Whether the graph says by "finn_datatype" that the elements of the weight are integers of some width, and
 * all of them are. */
bool i4q_is_finn_integer(const struct i4q_weight *weight);

#endif

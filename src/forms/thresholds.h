// SPDX-License-Identifier: Apache-2.0
/*
 * MultiThreshold of FINN, an activation and its quantizer in one: how many of a channel's thresholds the
 * input reaches, times a number, plus a number. Standard operators compute the same, all thresholds at a
 * time:
 *
 *     Unsqueeze, GreaterOrEqual, Cast, ReduceSum, Mul, Add
 *
 * which takes memory for as many values as there are thresholds, of each element.
 * Source: qonnx 1.0.0, custom_op/general/multithreshold.py.
 */
#ifndef INT4Q_FORMS_THRESHOLDS_H
#define INT4Q_FORMS_THRESHOLDS_H

#include "forms/emit.h"

bool i4q_is_multi_threshold(const Onnx__NodeProto *node);

/* Whether the node is one, and can be written so: where thresholds differ by channels, which are not last,
 * `rank`, how many dimensions the input has, must be known; see onnx/ranks.h. */
bool i4q_has_thresholds(const struct i4q_node *node, int64_t rank);

/* Adds the nodes; the last makes the emission's value. */
void i4q_emit_thresholds(struct i4q_emission *emission, const struct i4q_node *node, int64_t rank);

#endif

// SPDX-License-Identifier: Apache-2.0
/* The order in which nodes can be computed: each behind all that it reads, also within its bodies (Kahn
 * 1962); and the values that need no computing, since they are always the same. */
#ifndef INT4Q_ONNX_ORDER_H
#define INT4Q_ONNX_ORDER_H

#include "onnx/graph.h"

/* Fills `sorted` of an index that is complete otherwise, and `is_constant` of its values. I4Q_MODEL: some
 * nodes wait for each other. */
bool i4q_graph_sort(struct i4q_arena *arena, struct i4q_graph *graph, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

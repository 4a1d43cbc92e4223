// SPDX-License-Identifier: Apache-2.0
#ifndef INT4Q_ONNX_GRAPH_H
#define INT4Q_ONNX_GRAPH_H

#include "onnx/model.h"

/* Fills scopes, nodes and names of a model whose messages are complete, also anew after edits: all that pointed
 * into the index is then of the past. I4Q_MODEL: two values of one name, a cycle. */
bool i4q_model_index(struct i4q_model *model, struct i4q_error *error) I4Q_MUST_CHECK;

/* Fills `sorted` of an indexed model, and `is_constant` of its values. I4Q_MODEL: some nodes wait for each
 * other. */
bool i4q_model_sort(struct i4q_model *model, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

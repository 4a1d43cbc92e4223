// SPDX-License-Identifier: Apache-2.0
/*
 * How many dimensions tensors have, without shape inference: from what the model declares and stores, and
 * from what the usual operators of detectors make of it.
 */
#ifndef INT4Q_ONNX_RANKS_H
#define INT4Q_ONNX_RANKS_H

#include "onnx/model.h"

enum { I4Q_RANK_UNKNOWN = -1 };

/* What operators give, by the index of a value, in the model's arena. NULL when memory runs out. */
const int64_t *i4q_find_ranks(struct i4q_model *model) I4Q_MUST_CHECK;

/* The rank of a value, which may be NULL; or I4Q_RANK_UNKNOWN. */
int64_t i4q_rank(const int64_t *ranks, const struct i4q_value *value);

#endif

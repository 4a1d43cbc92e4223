// SPDX-License-Identifier: Apache-2.0
/* Finds out where a weight has integers from already. */
#ifndef INT4Q_FORMS_ORIGIN_FIND_H
#define INT4Q_FORMS_ORIGIN_FIND_H

#include "base/table.h"
#include "forms/origin.h"
#include "onnx/layers.h"

/* Whether the node moves elements (Identity, Transpose, Reshape, Squeeze, Unsqueeze) or casts floats to
 * another type of floats, as models in FLOAT16 do. */
bool i4q_moves_elements(const Onnx__NodeProto *node);

/* The value behind such nodes. NULL where nothing defines it. */
struct i4q_value *i4q_value_behind_moves(struct i4q_value *value);

/* Finds the origin of a Conv's weight; *origin is NULL where it has none. It is in the arena, and may share
 * what it reads with other origins of the same `copies`, a table that was empty at first. False only when
 * memory runs out. */
bool i4q_origin_find(struct i4q_arena *arena, struct i4q_table *copies, const struct i4q_conv *conv,
                     struct i4q_origin **origin, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

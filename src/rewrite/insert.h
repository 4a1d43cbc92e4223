// SPDX-License-Identifier: Apache-2.0
/* New nodes among those of the main graph. */
#ifndef INT4Q_REWRITE_INSERT_H
#define INT4Q_REWRITE_INSERT_H

#include "onnx/model.h"

/* Puts those of `front` before all others, and each list of `behind` (struct i4q_list, by the name of a
 * value) right behind the node that makes the value. False only when memory runs out. */
bool i4q_insert_nodes(struct i4q_model *model, const struct i4q_list *front,
                      const struct i4q_table *behind) I4Q_MUST_CHECK;

#endif

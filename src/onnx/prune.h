// SPDX-License-Identifier: Apache-2.0
/* Takes out of a graph what an edit left unread. */
#ifndef INT4Q_ONNX_PRUNE_H
#define INT4Q_ONNX_PRUNE_H

#include "onnx/model.h"

/* Of the values called `names` (const char *, in any order, also twice) those go that nothing reads and that
 * are no output: initializers, and what nodes make that only pass on or code what is stored (Constant,
 * Identity, Clip, QuantizeLinear), whose operands are then asked as well. Then the value_info of those names
 * that stand for nothing any more. Looks at the messages as they are, so it may follow any edit; values of
 * other names stay, read or not. False only when memory runs out.
 */
bool i4q_prune(struct i4q_model *model, Onnx__GraphProto *graph, const struct i4q_list *names) I4Q_MUST_CHECK;

/* Drops the import of a domain that no node is of, by the index as it is now. */
void i4q_prune_import(struct i4q_model *model, const char *domain);

#endif

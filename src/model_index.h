// SPDX-License-Identifier: Apache-2.0
#ifndef INT4Q_MODEL_INDEX_H
#define INT4Q_MODEL_INDEX_H

#include "int4q/model.h"

/* Fills scopes, nodes and names of a model whose messages are complete. I4Q_MODEL: two values of one name. */
bool i4q_model_index(struct i4q_model *model, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * Raising the version of the standard operator set (ai.onnx) of a model, in the main graph, in nested bodies
 * and in model-local functions, each of which has an import of its own. Operators whose meaning or form
 * changed on the way are rewritten by one table of rules; results stay the same or the model is refused.
 */
#ifndef INT4Q_ONNX_OPSET_UPGRADE_H
#define INT4Q_ONNX_OPSET_UPGRADE_H

#include "onnx/model.h"

enum { I4Q_OPSET_MIN = 7, I4Q_OPSET_MAX = 25 }; /* versions that can be upgraded from and to */

/* One operator that was rewritten, for the report: `from` and `to` are the operator's own versions. */
struct i4q_upgrade {
    const char *node; /* name, may be "" */
    const char *op;
    int64_t from, to;
    const struct i4q_upgrade *next;
};

/* Upgrades the model to ai.onnx `version`; parts that are at least there already stay as they are. `upgrades`
 * receives the list in file order, NULL when nothing had to be rewritten. An operator or attribute that
 * cannot be upgraded exactly is I4Q_MODEL and names node and operator; the model is then not fit for use any
 * more. */
bool i4q_opset_upgrade(struct i4q_model *model, int64_t version, const struct i4q_upgrade **upgrades,
                       struct i4q_error *error) I4Q_MUST_CHECK;

#endif

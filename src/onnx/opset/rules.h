// SPDX-License-Identifier: Apache-2.0
/* A rule brings one node over the version at which its operator changed. */
#ifndef INT4Q_ONNX_OPSET_RULES_H
#define INT4Q_ONNX_OPSET_RULES_H

#include "onnx/opset/tools.h"

struct i4q_opset_rule {
    const char *op_type;
    int64_t version;    /* at which the operator changed */
    int64_t earlier[4]; /* its versions before that one, ascending; then zeros */
    bool (*apply)(struct i4q_upgrader *upgrader, Onnx__NodeProto *node);
};

/* In the order of versions, so that a node takes its steps in theirs. */
extern const struct i4q_opset_rule i4q_opset_rules[];
extern const size_t i4q_opset_n_rules;

#endif

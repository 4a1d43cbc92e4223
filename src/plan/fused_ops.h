// SPDX-License-Identifier: Apache-2.0
/* Operators that ONNX Runtime computes on 8-bit codes, or in float between them (HardSwish, HardSigmoid, and
 * Resize but for the nearest value), so that what follows can compute on codes again. */
#ifndef INT4Q_PLAN_FUSED_OPS_H
#define INT4Q_PLAN_FUSED_OPS_H

#include "onnx/graph.h"
#include "quantize/range.h"

/* Where the range of the result comes from. */
enum i4q_fused_range {
    I4Q_FUSED_MEASURED,
    I4Q_FUSED_SAME, /* it is the range of the first operand: values are moved */
    I4Q_FUSED_UNIT, /* 0 to 1 */
};

struct i4q_fused_op {
    const char *op_type;
    bool reads_all; /* all inputs are values; else the first alone */
    enum i4q_fused_range range;
    bool reaches_as_far; /* as the Conv before it does: an activation, or what moves values */
    /* Whether ONNX Runtime gives the same for this node on codes; NULL: always. */
    bool (*fits)(const Onnx__NodeProto *node);
};

/* The row of a node's operator; NULL: none. */
const struct i4q_fused_op *i4q_fused_op_find(const Onnx__NodeProto *node);

/* How many of its inputs are values. */
size_t i4q_fused_op_operands(const struct i4q_fused_op *op, const Onnx__NodeProto *node);

/* Whether what the node gives may become codes: not where ONNX Runtime would refuse the node between codes,
 * or give something else. NULL: an input, which may. */
bool i4q_fused_op_fits(const struct i4q_node *node);

/* What the readers of a value make of each number, when all of them together are an activation (SiLU,
 * LeakyRelu, HardSwish); NULL: something else, or nothing known. */
i4q_range_behind_fn *i4q_fused_behind(const struct i4q_value *value, double *parameter);

#endif

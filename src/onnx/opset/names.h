// SPDX-License-Identifier: Apache-2.0
/* The operators of ai.onnx by name. */
#ifndef INT4Q_ONNX_OPSET_NAMES_H
#define INT4Q_ONNX_OPSET_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What every version of an operator before opset 21, from which on no rule asks, says of element types. */
struct i4q_opset_operator {
    const char *name;
    uint8_t
        inputs; /* bit i: input i has the type of the first output; the last bit: so has all that follows */
    bool every_output; /* all outputs have that type */
};

/* The operator, if ai.onnx has ever had it, up to I4Q_OPSET_MAX; else NULL. */
const struct i4q_opset_operator *i4q_opset_find(const char *op_type);

/* Whether that input has the type of the first output. */
bool i4q_opset_has_type(const struct i4q_opset_operator *known, size_t input);

#endif

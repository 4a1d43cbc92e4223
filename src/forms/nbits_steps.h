// SPDX-License-Identifier: Apache-2.0
/* The activations of com.int4q::ConvNBits in standard operators, a row each: for its function body, and for
 * what a node is taken apart into. */
#ifndef INT4Q_FORMS_NBITS_STEPS_H
#define INT4Q_FORMS_NBITS_STEPS_H

#include "onnx/fusion.h"

/* An attribute of a step: that of the operator called `source`. */
struct i4q_nbits_reference {
    const char *name, *source;
    Onnx__AttributeProto__AttributeType type;
};

struct i4q_nbits_step {
    const char *op, *inputs[3], *output;
    struct i4q_nbits_reference references[4];
    const char *literal; /* an attribute of the step itself; NULL: it has none */
    int64_t value;
};

enum { I4Q_NBITS_STEPS = 3 };

/* From C, the Conv's output, to the output of the last step; rows end with a step without an operator, or are
 * full. */
extern const struct i4q_nbits_step i4q_nbits_activations[I4Q_ACTIVATIONS][I4Q_NBITS_STEPS];

/* From W to `typed`, its codes as a matrix in elements of its own type, whether they are elements already or
 * a stream of bytes: in standard operators, with the attribute `bits` and the value `shape`. Ends with a step
 * without an operator. */
extern const struct i4q_nbits_step i4q_nbits_codes[];

/* How many steps the activation has. */
size_t i4q_nbits_count_steps(size_t activation);

size_t i4q_nbits_count_inputs(const struct i4q_nbits_step *step);

#endif

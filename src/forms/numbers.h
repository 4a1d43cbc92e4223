// SPDX-License-Identifier: Apache-2.0
/* The elements of one tensor as numbers, whatever their type. */
#ifndef INT4Q_FORMS_NUMBERS_H
#define INT4Q_FORMS_NUMBERS_H

#include "base/arena.h"
#include "base/view.h"
#include "onnx/dtype.h"

/* The elements of a tensor: floats of 16 to 64 bits, or codes that fit int16_t. */
struct i4q_numbers {
    const struct i4q_dtype *type; /* NULL: absent, or of another type */
    unsigned bits;                /* of an element: those of the type, but for packed codes */
    struct i4q_view payload;
    size_t count;
};

/* The elements of one tensor; their type is NULL where it is absent (proto NULL), or of another type.
 * I4Q_MODEL: its payload does not fit its shape. */
bool i4q_numbers_open(struct i4q_arena *arena, const Onnx__TensorProto *proto, struct i4q_numbers *numbers,
                      struct i4q_error *error) I4Q_MUST_CHECK;

/* Element i of any of the tensors. */
double i4q_number(const struct i4q_numbers *numbers, size_t i);

bool i4q_numbers_are_floats(const struct i4q_numbers *numbers);

/* Of codes: the lowest one, and the one of 0 where they are symmetric. */
int i4q_numbers_lowest(const struct i4q_numbers *numbers);
int i4q_numbers_centre(const struct i4q_numbers *numbers);

#endif

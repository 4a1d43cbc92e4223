// SPDX-License-Identifier: Apache-2.0
/* How the origin of a weight is read off its nodes: for origin_find.c and origin_quant.c. */
#ifndef INT4Q_FORMS_FINDER_H
#define INT4Q_FORMS_FINDER_H

#include "base/table.h"
#include "forms/origin.h"

/* One that is being described. */
struct i4q_finder {
    struct i4q_arena *arena;
    struct i4q_table *copies; /* of numbers that do not lie as they are read: the tensor's address -> struct
                                 i4q_numbers; NULL: each reader has its own */
    const struct i4q_node *node; /* that makes the value; NULL: it is stored */
    struct i4q_origin *origin;
    bool is_activation; /* the elements are computed, and only the parameters are wanted */
    bool takes_scalars; /* of rank 0, which no weight is; they count as having one dimension */
    bool failed;        /* memory ran out */
};

/* How a parameter is spread along the elements: as broadcasting has it, or as DequantizeLinear. */
struct i4q_spread {
    bool broadcast;
    bool is_float; /* only FLOAT will do */
    int64_t axis;  /* of DequantizeLinear */
};

/* The first fault is the one that is told. A flaw is a fault, and a sentence. */
void i4q_finder_blame(struct i4q_finder *finder, enum i4q_fault fault);
void i4q_finder_flaw(struct i4q_finder *finder, const char *what);

/* The value that an input is, behind Identity nodes; NULL: there is none. */
struct i4q_value *i4q_finder_value(const struct i4q_node *node, size_t input);

/* Opens what is stored as the value; NULL: nothing is, or it is unsound, which makes the node so. */
const Onnx__TensorProto *i4q_finder_open(struct i4q_finder *finder, const struct i4q_value *value,
                                         struct i4q_tensor *tensor, struct i4q_numbers *numbers);

/* The same; and an integer of 32 or 64 bits, where it is the only element, is read as a DOUBLE. */
const Onnx__TensorProto *i4q_finder_open_wide(struct i4q_finder *finder, const struct i4q_value *value,
                                              struct i4q_tensor *tensor, struct i4q_numbers *numbers);

/* The elements of the origin; those of an activation are left out. */
void i4q_finder_elements(struct i4q_finder *finder, const struct i4q_value *value);
void i4q_finder_expect_floats(struct i4q_finder *finder);
bool i4q_is_type(const Onnx__TensorProto *proto, int32_t type);

/* Parameters from an input. Of an activation the axis counts from behind, 1 being the last. */
void i4q_finder_scale(struct i4q_finder *finder, const struct i4q_node *node, size_t input,
                      const struct i4q_spread *spread, struct i4q_parameter *scale);
void i4q_finder_zero(struct i4q_finder *finder, const struct i4q_node *node, size_t input,
                     const struct i4q_spread *spread, struct i4q_parameter *zero);

/* All parameters differ along one axis at most, which is then that of the origin. */
void i4q_finder_settle(struct i4q_finder *finder, size_t otherwise);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of propagate.c share; for what they compute see propagate.h.
 */
#ifndef INT4Q_PLAN_MEANS_PROPAGATION_H
#define INT4Q_PLAN_MEANS_PROPAGATION_H

#include "base/table.h"
#include "forms/weights.h"

/* What is known of a value: a mean and a variance a channel. */
struct i4q_known {
    size_t channels;
    double *mean, *variance;
    bool image; /* pixels, whose channels vary together */
};

struct i4q_propagation {
    struct i4q_model *model;
    const struct i4q_weights *weights;
    unsigned threads;
    struct i4q_table values;   /* name → struct i4q_known */
    struct i4q_table readable; /* first output of a Conv → its struct i4q_weight, where that can be read */
    const float **means;
    size_t budget; /* channels that may still be made known */
    bool is_silu_net;
    bool failed; /* sticky: memory ran out */
};

/* What is known of input `i` of a node; NULL: nothing. */
const struct i4q_known *i4q_known_input(const struct i4q_propagation *p, const Onnx__NodeProto *node,
                                        size_t i);

/* Makes a value known, all 0, for the caller to fill; NULL when the budget or memory runs out. */
struct i4q_known *i4q_known_make(struct i4q_propagation *p, const char *name, size_t channels);

void i4q_known_copy(const struct i4q_known *from, size_t first, struct i4q_known *to, size_t at, size_t n);

/* Elements of an ints attribute or else of a constant INT64 input; their number, 0 if there is no such thing
 * or if they are more than `room`. */
size_t i4q_constant_integers(const struct i4q_propagation *p, const Onnx__NodeProto *node,
                             const char *attribute, size_t i, int64_t *numbers, size_t room);

/* A constant of `count` elements, FLOAT or FLOAT16, as binary64 in the arena; NULL if it is none. */
const double *i4q_constant_floats(struct i4q_propagation *p, const char *name, size_t count);

/* The node of the main graph, with inputs, that makes a value; NULL: none. */
const Onnx__NodeProto *i4q_made_by(const struct i4q_propagation *p, const char *name);

/* Of x * f(x), either way round, the node of the activation f; else NULL. */
const Onnx__NodeProto *i4q_gate_of(const struct i4q_propagation *p, const Onnx__NodeProto *mul);

/* Whether the node is an activation that is known here. */
bool i4q_is_activation(const Onnx__NodeProto *node);

/* What each operator makes of what is known of its inputs. */
void i4q_pass_conv(struct i4q_propagation *p, const Onnx__NodeProto *node);
void i4q_pass_normalization(struct i4q_propagation *p, const Onnx__NodeProto *node);
void i4q_pass_activation(struct i4q_propagation *p, const Onnx__NodeProto *node);
void i4q_pass_mul(struct i4q_propagation *p, const Onnx__NodeProto *node);

#endif

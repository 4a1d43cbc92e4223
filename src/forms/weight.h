// SPDX-License-Identifier: Apache-2.0
/* A weight as something to be quantized: facts, whatever is decided about it. */
#ifndef INT4Q_FORMS_WEIGHT_H
#define INT4Q_FORMS_WEIGHT_H

#include "forms/codes.h"
#include "onnx/layers.h"
#include "onnx/tensor.h"

/* A weight that some Conv reads, however many do. */
struct i4q_weight {
    struct i4q_value *value;
    Onnx__TensorProto *proto; /* its elements */
    struct i4q_tensor tensor;
    struct i4q_view payload; /* FLOAT and FLOAT16 only */

    /* Of one that stands for integers already, and is to be stored as these: elements and type are the values
     * that they stand for, the payload is empty, the axis is that of the scales. Else NULL. */
    const struct i4q_origin *origin;
    struct i4q_storing storing;
    const struct i4q_conv_op *op; /* of the first Conv that reads it */
    size_t channel_axis;
    bool is_output;    /* a graph output, itself or behind Identity nodes */
    bool other_reader; /* something other than these Convs' weight input reads it */

    /* Found out by whoever is the first to look at all of the numbers. */
    bool looked_through;
    bool finite; /* no NaN and no infinity among them */
};

/* Describes the weight of a Conv, which is stored (I4Q_SOURCE_STORED), among the readers `ops`. I4Q_MODEL: a
 * shape or payload that is not sound. */
bool i4q_weight_describe(struct i4q_arena *arena, unsigned ops, const struct i4q_conv *conv,
                         struct i4q_weight *weight, struct i4q_error *error) I4Q_MUST_CHECK;

/* The same from the origin of the Conv's weight, which is without a fault. */
void i4q_weight_describe_origin(const struct i4q_conv *conv, const struct i4q_storing *storing,
                                struct i4q_weight *weight);

/* Whether the elements are of a type that can be quantized. */
bool i4q_weight_is_quantizable(const struct i4q_weight *weight);

/* Element i of a FLOAT or FLOAT16 weight. */
float i4q_weight_element(const struct i4q_weight *weight, size_t i);

/* The projection of distribution focal loss: the inputs of every output channel have the weights 0, 1, ..., n
 * - 1, exactly, n >= 4, as in [1, n, 1, 1], [4, n, 1, 1] of a grouped Conv, and [n, 1] of a MatMul. Only
 * integers hold it exactly. */
bool i4q_weight_is_dfl(const struct i4q_weight *weight);

/* [outer, channels, inner] of its shape, as i4q_quantize_job has them; for weights with elements. */
size_t i4q_weight_channels(const struct i4q_weight *weight);
size_t i4q_weight_inner(const struct i4q_weight *weight); /* elements of a channel behind its axis */

/* Groups of the Conv that reads it, or 1 where they do not divide its channels. */
size_t i4q_weight_groups(const struct i4q_weight *weight);

#endif

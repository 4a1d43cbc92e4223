// SPDX-License-Identifier: Apache-2.0
/* The weight of a Conv as something to be quantized: what it is, who else reads it, and what the plan made of
 * it. */
#ifndef INT4Q_FORMS_WEIGHT_H
#define INT4Q_FORMS_WEIGHT_H

#include "onnx/layers.h"
#include "onnx/tensor.h"
#include "quantize/quantize.h"

struct i4q_form;

/* A weight that some Conv reads, however many do. Lives in the model's arena. */
struct i4q_weight {
    struct i4q_value *value;
    Onnx__TensorProto *proto; /* its elements */
    struct i4q_tensor tensor;
    struct i4q_view payload;      /* FLOAT and FLOAT16 only */
    const struct i4q_conv_op *op; /* of the first Conv that reads it */
    size_t channel_axis;
    bool is_output;    /* a graph output, itself or behind Identity nodes */
    bool other_reader; /* something other than these Convs' weight input reads it */

    /* Set by the plan. */
    const struct i4q_format *format;  /* NULL: stays as it is */
    const struct i4q_form *form;      /* how they stand in the graph */
    struct i4q_quantize_job *job;     /* NULL unless it was to be quantized */
    size_t bytes_before, bytes_after; /* payload, scale and zero point */
};

/* Describes the weight of a Conv, which must be stored (I4Q_SOURCE_STORED). I4Q_MODEL: a shape or payload
 * that is not sound. */
bool i4q_weight_describe(struct i4q_arena *arena, unsigned ops, const struct i4q_conv *conv,
                         struct i4q_weight *weight, struct i4q_error *error) I4Q_MUST_CHECK;

/* Whether the elements are of a type that can be quantized. */
bool i4q_weight_is_quantizable(const struct i4q_weight *weight);

/* Element i of a FLOAT or FLOAT16 weight. */
float i4q_weight_element(const struct i4q_weight *weight, size_t i);

/* The projection of distribution focal loss: shape [1, n, 1, ...], values exactly 0, 1, ..., n - 1, n >= 4.
 * Only integers hold it exactly. */
bool i4q_weight_is_dfl(const struct i4q_weight *weight);

/* [outer, channels, inner] of its shape, as i4q_quantize_job has them; for weights with elements. */
size_t i4q_weight_channels(const struct i4q_weight *weight);
size_t i4q_weight_inner(const struct i4q_weight *weight); /* elements of a channel behind its axis */

/* Groups of the Conv that reads it, or 1 where they do not divide its channels. */
size_t i4q_weight_groups(const struct i4q_weight *weight);

#endif

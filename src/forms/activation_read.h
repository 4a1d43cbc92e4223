// SPDX-License-Identifier: Apache-2.0
/*
 * Activations that a model quantizes, whoever wrote it: a tensor that nodes compute goes through
 *
 *     QuantizeLinear -> at most two of Clip, Max, Min on the codes -> DequantizeLinear
 *
 * (ai.onnx or com.microsoft) and is read as
 *
 *     (clamp(rint(x / scale) + zero_point, low, high) - decoded_zero_point) * decoded_scale
 *
 * with one scale for all, or one for each index along `axis`; or an operator does this itself with what it
 * reads, as ConvNBits with an input_scale does. The scales on the two sides may differ: whoever folds the
 * ratio of channel scales into weights quantizes by a scale a channel and decodes by one. Weights, which are
 * constant, are no activations; nor are tensors whose scale is computed on the way (DynamicQuantizeLinear),
 * or integer operators without a DequantizeLinear. Facts only; nothing is changed.
 */
#ifndef INT4Q_FORMS_ACTIVATION_READ_H
#define INT4Q_FORMS_ACTIVATION_READ_H

#include "forms/reader.h"
#include "onnx/model.h"

enum { I4Q_ACTIVATION_CLIPS = 2 }; /* most nodes between the two that clip codes */

/* One such pair. What it points to belongs to the model. Where an operator does it itself, that is both nodes
 * and `tensor` also the result; operators that do the same with a tensor are one pair. */
struct i4q_activation_pair {
    bool is_inside;                 /* an operator does it itself */
    const struct i4q_value *tensor; /* x, what is quantized */
    const struct i4q_value *result; /* what is read in its place */
    const struct i4q_node *quantize, *dequantize;
    const struct i4q_node *clips[I4Q_ACTIVATION_CLIPS]; /* those between them, in the order of the data */
    size_t n_clips;

    const struct i4q_dtype *codes; /* their type: UINT8, INT8, UINT4, ... */
    int32_t low, high;             /* the lowest and the highest code that can occur */
    unsigned bits;                 /* that so many codes take: 4 for -7 to 7 in INT8 */

    /* Of QuantizeLinear and of DequantizeLinear: one element, or `channels` of them. A zero point whose type
     * is NULL is absent, which stands for 0, or in UINT16. */
    struct i4q_numbers scale, zero_point, decoded_scale, decoded_zero_point;
    size_t channels; /* 0: one scale for the tensor */
    int64_t axis;    /* as the attribute has it, may be negative; without meaning when channels is 0 */

    const char *flaw; /* why its numbers cannot be what they should, a sentence; NULL: nothing is wrong */
};

/* All pairs of the model in file order of their DequantizeLinear or operator, bodies and functions included;
 * the array is in the model's arena. One QuantizeLinear may be in several. Fails only for want of memory. */
bool i4q_activations_find(struct i4q_model *model, struct i4q_activation_pair **pairs, size_t *count,
                          struct i4q_error *error) I4Q_MUST_CHECK;

/* Element `channel` of numbers that may be but one for all; 0 of a zero point that is absent. */
double i4q_activation_number(const struct i4q_numbers *numbers, size_t channel);

/* Whether some node quantizes what is no constant, in this way or as QONNX and FINN have it. */
bool i4q_has_quantized_activations(const struct i4q_graph *graph);

/* Whether the pair but rounds and clips: scales and zero points are the same on both sides. */
bool i4q_activation_is_plain(const struct i4q_activation_pair *pair);

#endif

// SPDX-License-Identifier: Apache-2.0
/* The way back for activations: readers of a quantized tensor read the tensor itself again. */
#ifndef INT4Q_REWRITE_RESTORE_ACTIVATIONS_H
#define INT4Q_REWRITE_RESTORE_ACTIVATIONS_H

#include "forms/activation_read.h"

/* What became of one pair of QuantizeLinear and DequantizeLinear. */
enum i4q_activation_fate {
    I4Q_ACTIVATION_GONE,   /* with its Clip: all that it did was to round and to clip */
    I4Q_ACTIVATION_FACTOR, /* a Mul with decoded_scale / scale, rounded to the scale's type, is in its place:
                              that factor is folded into weights, or belongs there */
    I4Q_ACTIVATION_QUANT,  /* one Quant of QONNX is in its place, see forms/qonnx.h */
    I4Q_ACTIVATION_LEFT,   /* as it was */
};

struct i4q_restored_activation {
    const struct i4q_activation_pair *pair; /* as it was before */
    enum i4q_activation_fate fate;
    const char *reason; /* I4Q_ACTIVATION_LEFT: why */
};

struct i4q_activation_restoration {
    struct i4q_restored_activation *activations; /* in file order */
    size_t count;
    size_t fates[I4Q_ACTIVATION_LEFT + 1]; /* how many have each */
};

/* What is to become of them. */
enum i4q_activation_aim { I4Q_ACTIVATIONS_FLOAT, I4Q_ACTIVATIONS_QUANT };

/* Changes the model's messages, and indexes them anew. Scales, zero points and imports that nothing uses any
 * more go too; weights stay as they are. I4Q_MODEL: a pair whose scales and zero points are not sound. */
bool i4q_restore_activations(struct i4q_model *model, enum i4q_activation_aim aim,
                             struct i4q_activation_restoration *restoration,
                             struct i4q_error *error) I4Q_MUST_CHECK;

#endif

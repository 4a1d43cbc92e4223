// SPDX-License-Identifier: Apache-2.0
/* The way out to QONNX: what stands for integers becomes floats behind Quant nodes, see forms/qonnx.h. */
#ifndef INT4Q_REWRITE_EXPORT_H
#define INT4Q_REWRITE_EXPORT_H

#include "rewrite/restore.h"

/* One weight that is decoded from integers. */
struct i4q_exported {
    struct i4q_restored weight;
    const char *reason; /* why it stays as it is, a word; NULL: a Quant makes it */
    unsigned bits;      /* of the Quant */
    bool widened;       /* to more bits than are stored, which zero points ask for */
};

struct i4q_export {
    struct i4q_exported **weights; /* in the order of the Convs that read them */
    size_t n_weights, n_left, n_widened;
    size_t n_biases; /* folded to floats */
};

/* Changes the model's messages, and indexes them anew: of k * scale, k = code - zero point, is stored what
 * DequantizeLinear made of it, and Quant makes it again. Bits are as many as the stored codes have, or as k
 * needs. Vectors that a DequantizeLinear decodes, biases, become floats. The opset stays. I4Q_MODEL: as
 * i4q_restore. */
bool i4q_export(struct i4q_model *model, const struct i4q_kernels *kernels, struct i4q_export *result,
                struct i4q_error *error) I4Q_MUST_CHECK;

#endif

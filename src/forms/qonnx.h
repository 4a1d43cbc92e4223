// SPDX-License-Identifier: Apache-2.0
/*
 * A weight as QONNX has it, which FINN and hls4ml read: floats on a grid, and a node
 * qonnx.custom_op.general:: Quant that tells the grid. Its arithmetic is in quantize/quant.h: of k * scale it
 * makes k * scale again.
 *
 * What FINN asks for, and is written: the operator is Quant, zero point and bit width are single floats, the
 * zero point is 0, the scale is one number or one an output channel, and each node has one reader.
 */
#ifndef INT4Q_FORMS_QONNX_H
#define INT4Q_FORMS_QONNX_H

#include "forms/emit.h"

extern const char i4q_qonnx_domain[];

/* What the node tells. */
struct i4q_quant_grid {
    unsigned bits;
    bool is_signed, narrow;
    const void *scales; /* FLOAT; NULL: not known yet */
    size_t count;       /* of scales; 1: of the whole tensor */
};

/* Quant(value, W_scale, W_zeropt, W_bitwidth), at the end of the nodes that are made. `scale_dims` NULL: one
 * scale. Its output is W_<output>, NULL for W itself. */
Onnx__NodeProto *i4q_emit_quant(struct i4q_emission *emission, const struct i4q_quant_grid *grid,
                                const char *value, const int64_t *scale_dims, size_t rank,
                                const char *output);

/* A weight whose floats are the value `stored`: a Quant for each reader; behind it a Cast where the weight is
 * FLOAT16. */
void i4q_emit_quant_weight(struct i4q_emission *emission, const struct i4q_quant_grid *grid,
                           const char *stored);

#endif

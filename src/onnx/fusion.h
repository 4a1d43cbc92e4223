// SPDX-License-Identifier: Apache-2.0
/*
 * What a Conv is to a kernel that computes all of it at once: its window with every attribute resolved, and
 * the activation behind it. Facts of the graph as it was loaded; nothing is changed.
 */
#ifndef INT4Q_ONNX_FUSION_H
#define INT4Q_ONNX_FUSION_H

#include "onnx/model.h"

/* The numbers are those of the attribute `activation` of com.int4q::ConvNBits, see docs/conv_nbits.md. */
enum i4q_activation {
    I4Q_ACTIVATION_NONE,
    I4Q_ACTIVATION_SILU,       /* y * sigmoid(y) */
    I4Q_ACTIVATION_RELU,       /* max(y, 0) */
    I4Q_ACTIVATION_LEAKY_RELU, /* alpha * y where y < 0 */
    I4Q_ACTIVATION_HARD_SWISH, /* y * max(0, min(1, y / 6 + 1 / 2)) */
    I4Q_ACTIVATION_SIGMOID,    /* 1 / (1 + exp(-y)) */
    I4Q_ACTIVATION_CLIP,       /* min(max(y, alpha), beta) */
    I4Q_ACTIVATIONS,
};

enum { I4Q_FUSION_NODES = 2 }; /* most nodes that an activation is made of */

struct i4q_fusion {
    const struct i4q_node *conv;
    size_t dimensions; /* of space: 1 or 2 */
    int64_t strides[2], dilations[2];
    int64_t pads[4]; /* all beginnings, then all ends, as in the attribute */
    int64_t group;
    enum i4q_activation activation;
    float alpha, beta;
    const struct i4q_node *absorbed[I4Q_FUSION_NODES]; /* nodes of the activation, in file order */
    size_t n_absorbed;
    const char *output; /* that the last of all these nodes makes */
};

/* "none", "silu", ... */
const char *i4q_activation_name(enum i4q_activation activation);

/* Fills `fusion` for a Conv whose weight has these dimensions. False: not one or two dimensions of space, an
 * auto_pad that depends on the size of the input, or attributes of another length. */
bool i4q_fusion_find(const struct i4q_node *conv, const int64_t *dims, size_t rank,
                     struct i4q_fusion *fusion);

/* The activation alone, of fusion->conv, whatever its window: fills the fields from `activation` on. */
void i4q_fusion_find_activation(struct i4q_fusion *fusion);

#endif

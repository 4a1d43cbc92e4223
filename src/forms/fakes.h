// SPDX-License-Identifier: Apache-2.0
/* Nodes of QONNX and its kin that quantize: what only their own tools run, on activations as on constants. */
#ifndef INT4Q_FORMS_FAKES_H
#define INT4Q_FORMS_FAKES_H

#include "onnx/model.h"

enum { I4Q_FAKE_BITS = 32 }; /* the most that one of them tells */

struct i4q_fake {
    const struct i4q_node *node;
    const struct i4q_value *tensor; /* that is quantized; NULL: there is none */
    size_t op;                      /* see i4q_fake_op */
    unsigned bits;                  /* 0: it does not tell */
    bool is_activation;             /* else a constant: a weight, a bias */
    const char *flaw;               /* why nobody could make sense of it; NULL: nothing is wrong */
};

/* Quant, MultiThreshold, ...: operator `index`, NULL behind the last. */
const char *i4q_fake_op(size_t index);

/* Whether the node is one of them. */
bool i4q_is_fake(const Onnx__NodeProto *node);

/* All of the model in file order, in its arena. Fails only for want of memory. */
bool i4q_fakes_find(struct i4q_model *model, struct i4q_fake **fakes, size_t *count,
                    struct i4q_error *error) I4Q_MUST_CHECK;

#endif

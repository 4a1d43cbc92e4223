// SPDX-License-Identifier: Apache-2.0
/* The weights of a model: facts, whatever is decided about them. */
#ifndef INT4Q_FORMS_WEIGHTS_H
#define INT4Q_FORMS_WEIGHTS_H

#include "forms/weight.h"
#include "kernels/sets.h"

/* The weights of a model, found once: any number of plans can be made for them. In the model's arena. */
struct i4q_weights {
    struct i4q_model *model;
    unsigned ops;           /* the operators whose weights these are, see i4q_conv_op_bits */
    struct i4q_conv *convs; /* of these operators, and those beside them; in file order */
    size_t n_convs;
    struct i4q_weight *items; /* in the order of the first Conv that reads each */
    size_t count;
    uint32_t *numbers; /* by the index of a value: 1 + that of its weight; 0: it is none */
    size_t imported;   /* elements of the imported ones: many may come from one tensor */
    bool import;       /* those that stand for integers already are among the items */
};

/* Finds them. With `import` those too that stand for integers already, of any operator. I4Q_MODEL: what
 * i4q_convs_find refuses, a shape or payload that is not sound, and with `import` nodes that no runtime could
 * make sense of. */
bool i4q_weights_find(struct i4q_model *model, unsigned ops, bool import, struct i4q_weights *weights,
                      struct i4q_error *error) I4Q_MUST_CHECK;

/* The weight that a value is, or NULL. A Conv has one where it is stored (I4Q_SOURCE_STORED), or imported:
 * then the same one stands for what nodes that only move elements make of it. */
struct i4q_weight *i4q_weight_of(const struct i4q_weights *weights, const struct i4q_value *value);

/* Looks through all numbers of the weights that are `wanted` and that nobody has looked through. */
void i4q_weights_look_through(struct i4q_weights *weights, const bool *wanted,
                              const struct i4q_kernels *kernels, unsigned threads);

#endif

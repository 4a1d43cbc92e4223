// SPDX-License-Identifier: Apache-2.0
/* The nodes Quant, IntQuant, BipolarQuant and FloatQuant, of weights and of anything else. */
#ifndef INT4Q_FORMS_ORIGIN_QUANT_H
#define INT4Q_FORMS_ORIGIN_QUANT_H

#include "forms/finder.h"

/* The domains that have them; ends with NULL. */
extern const char *const i4q_quant_domains[];

/* Whether the node is this operator in one of the domains. */
bool i4q_is_quant_op(const Onnx__NodeProto *node, const char *op);

/* Whether it is Quant, IntQuant, BipolarQuant or FloatQuant. */
bool i4q_is_quant(const Onnx__NodeProto *node);

/* Whether it is a Trunc, of activations, which takes low bits off their codes. */
bool i4q_is_trunc(const Onnx__NodeProto *node);

/* Describes what the finder's node, which is one of these, makes. */
void i4q_finder_quant(struct i4q_finder *finder);

/* What such a node makes of a stored tensor; or, `is_activation`, of a computed one: then only the parameters
 * are told, and the axis counts from behind, 1 being the last dimension, 0 none. NULL when memory runs out.
 */
struct i4q_origin *i4q_origin_of_quant(struct i4q_arena *arena, const struct i4q_node *node,
                                       bool is_activation) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * What Quant, BipolarQuant and Trunc make of an activation, computed one step at a time by standard operators
 * in FLOAT: where QuantizeLinear would round otherwise, or has no such parameters. The numbers are those of
 * the definition (quant.h), bit for bit but for the sign of 0, NaN aside.
 *
 *     Quant           Div scale, Add zero point, Clip, round, Sub zero point, Mul scale
 *     one signed bit  Div scale, Add zero point, Where not below 0: 1, else -1, Sub zero point, Mul scale
 *     BipolarQuant    Where not below 0: 1, else -1, Mul scale
 *     Trunc           Div scale, Round, Div 2^n, (Clip,) round, Mul scale
 *
 * Source: qonnx 1.0.0, custom_op/general/intquant.py, bipolar_quant.py, trunc.py. Scales and zero points may
 * be computed, and broadcast as they like.
 */
#ifndef INT4Q_FORMS_STEPS_H
#define INT4Q_FORMS_STEPS_H

#include "forms/emit.h"
#include "forms/origin.h"

/* Whether there is a zero point, other than one that is stored and 0 throughout. */
bool i4q_has_zero_point(const struct i4q_node *node, const struct i4q_origin *origin);

/* Whether there are such steps. The origin is that of an activation, and may be at fault. */
bool i4q_has_steps(const struct i4q_node *node, const struct i4q_origin *origin);

/* Adds the nodes; the last makes the emission's value. */
void i4q_emit_steps(struct i4q_emission *emission, const struct i4q_node *node,
                    const struct i4q_origin *origin);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * --decode fused: the stretches of the main graph that compute in 8 bits, and the range of each value there.
 *
 * ONNX Runtime computes an operator on 8-bit codes where all that it reads comes from a DequantizeLinear, and
 * all that reads its result is a QuantizeLinear. So each value of a stretch gets such a pair, for all that
 * read it:
 *
 * - a Conv computes where its weight is stored for that, its bias is constant and FLOAT, and what it reads
 * and gives was measured (or has a range that follows); its bias becomes INT32 with the scale of what it
 * reads times that of the weight, without which nothing is fused;
 * - any other operator of the table in fused_ops.h where all that it reads is computed so, and what it gives
 * leads to another Conv that computes. What leads to none, the tail of a detector, stays float; so does what
 * operators that are not in the table, those of attention, read and give;
 * - what only moves values (MaxPool, Split, Resize, Reshape ...) has the range of what it moves; sigmoids
 * have 0 to 1;
 * - ranges of values that an activation reads are those with the least error behind it;
 * - a value in which channels lose more than a tenth of themselves on the average, or what --keep-activations
 * names in place of these, stays float, with the Convs that read it, and what makes it back to the Conv that
 * its reach is from;
 * - a Conv in front of Relu, or of a Clip within whose bounds all codes lie, gives no codes of its own: ONNX
 * Runtime takes these into the QuantizeLinear behind them.
 *
 * A Conv that does not compute so has a weight that is decoded at load (`cast`).
 */
#ifndef INT4Q_PLAN_FUSED_H
#define INT4Q_PLAN_FUSED_H

#include "plan/fused_ranges.h"

/* Finds the ranges of a plan whose target is the form `fused`; of others plan->fused stays NULL. I4Q_MODEL:
 * the statistics tell of no value that a Conv gives. */
bool i4q_plan_fused_find(struct i4q_plan *plan, unsigned threads, struct i4q_error *error) I4Q_MUST_CHECK;

/* Once there are codes: where INT32 does not hold a bias, since the weights of its channel are next to
 * nothing, their scale becomes so large that it does. */
void i4q_plan_fused_fit(struct i4q_plan *plan);

/* Says what computes, with what is known of the weights by now, and gives weights of other Convs another
 * form. */
void i4q_plan_fused_conclude(struct i4q_plan *plan);

#endif

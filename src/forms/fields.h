// SPDX-License-Identifier: Apache-2.0
/*
 * Codes of b bits taken out of bytes by arithmetic, in operators that runtimes have had since opset 11. The
 * bytes of a group, the least number of codes that ends with a byte, are one number: the sum of byte i *
 * 256^i. Code k of the group is that number / 2^(b k), rounded down, modulo 2^b.
 */
#ifndef INT4Q_FORMS_FIELDS_H
#define INT4Q_FORMS_FIELDS_H

#include "forms/emit.h"
#include "forms/recognise.h"

/* Nodes from the packed bytes to the codes of whole groups, [groups, codes of one], as INT32 or INT64: Cast,
 * (Concat,) Reshape, (MatMul,) Div, Mod. Their value. */
const char *i4q_emit_fields(struct i4q_emission *emission, const char *packed);

/* Steps from the codes of whole groups back to the Cast of the bytes. The width; 0: other nodes. */
unsigned i4q_walk_fields(struct i4q_walk *walk);

#endif

// SPDX-License-Identifier: Apache-2.0
/* The table of forms, and what follows from all of them. */
#ifndef INT4Q_FORMS_FORMS_H
#define INT4Q_FORMS_FORMS_H

#include "forms/form.h"

/* The rows; ends with NULL. The first is the default. */
extern const struct i4q_form *const i4q_forms[];

/* The first row with this word, and with this domain unless that is NULL; or NULL. */
const struct i4q_form *i4q_form_find(const char *word, const char *domain);

/* The words of --decode, and of --dq-domain the domains of DequantizeLinear: word `index`, NULL behind the
 * last.
 */
const char *i4q_form_word(size_t index);
const char *i4q_form_dq_domain(size_t index);

/* The form for a weight: `wanted` where that can hold it, else the first row that can. */
const struct i4q_form *i4q_form_choose(const struct i4q_form *wanted, const struct i4q_weight *weight,
                                       const struct i4q_quantize_job *job);

/* Whether a node may be one of those that make a weight of some form, but for the first. */
bool i4q_form_has_step(const Onnx__NodeProto *node);

/* Whether a node, the first that reads what is stored, begins one of the forms: as a decoder, or as the
 * operator itself. */
bool i4q_form_is_begun_by(const struct i4q_node *node, bool is_operator);

/* Never fails: what cannot be told is left out. */
void i4q_storage_describe(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage);

#endif

// SPDX-License-Identifier: Apache-2.0
/* What reports tell of activations that are quantized, as a table for people and as JSON. */
#ifndef INT4Q_REPORT_ACTIVATION_REPORT_H
#define INT4Q_REPORT_ACTIVATION_REPORT_H

#include "forms/activation_read.h"
#include "platform/terminal.h"

#include <jansson.h>
#include <stdio.h>

/* The table, a row a pair, and an empty line; the line that counts them by bits; nothing where there are
 * none. */
void i4q_activation_table(const struct i4q_activation_pair *pairs, size_t count, const struct i4q_look *look,
                          FILE *stream);
void i4q_activation_totals(const struct i4q_activation_pair *pairs, size_t count, FILE *stream);

/* The list `activations` (keys: docs/reference.md); NULL when memory runs out. */
json_t *i4q_activations_json(const struct i4q_activation_pair *pairs, size_t count) I4Q_MUST_CHECK;

#endif

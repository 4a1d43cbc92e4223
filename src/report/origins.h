// SPDX-License-Identifier: Apache-2.0
/* What reports tell of weights that stand for integers already. */
#ifndef INT4Q_REPORT_ORIGINS_H
#define INT4Q_REPORT_ORIGINS_H

#include "plan/plan.h"
#include "report/text.h"

#include <jansson.h>
#include <stdio.h>

/* What a weight is stored as, and where its integers are from, which may be NULL: "int4 (from Quant 4 bit)".
 */
const char *i4q_text_stored(const char *storage, const struct i4q_origin *origin,
                            char buffer[static I4Q_TEXT_NAME]);

/* The keys source, source_bits, and exact: whether the integers can be stored; null without an origin. */
void i4q_json_put_origin(json_t **object, const struct i4q_origin *origin);

/* The lines of the text on a rewrite: how many weights were imported, and how many could be. */
void i4q_report_imported(const struct i4q_plan *plan, FILE *stream);
/* What became of Quant nodes that are no weight's, and what is left of these dialects. */
void i4q_report_quants(const struct i4q_plan *plan, FILE *stream);
json_t *i4q_json_quants(const struct i4q_plan *plan);

void i4q_report_importable(const struct i4q_plan *plan, FILE *stream);

#endif

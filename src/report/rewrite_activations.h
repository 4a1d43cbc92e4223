// SPDX-License-Identifier: Apache-2.0
/* What a report says of activations; nothing where the plan leaves them all alone. */
#ifndef INT4Q_REPORT_REWRITE_ACTIVATIONS_H
#define INT4Q_REPORT_REWRITE_ACTIVATIONS_H

#include "plan/plan.h"

#include <jansson.h>
#include <stdio.h>

/* A few lines. */
void i4q_report_activations_text(const struct i4q_plan *plan, FILE *stream);

/* An array with an object for each value that the chosen Convs read; NULL when memory runs out. */
json_t *i4q_report_activations_json(const struct i4q_plan *plan) I4Q_MUST_CHECK;

#endif

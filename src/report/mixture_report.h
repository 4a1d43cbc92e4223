// SPDX-License-Identifier: Apache-2.0
/* What a report on a rewrite tells of --bits and --choices; nothing where the plan is of one recipe. */
#ifndef INT4Q_REPORT_MIXTURE_REPORT_H
#define INT4Q_REPORT_MIXTURE_REPORT_H

#include "report/rewrite_report.h"

/* "12 packed3, 40 int4:32, 1 float": Convs by their choices. */
void i4q_mixture_print_convs(const struct i4q_report *report, FILE *stream);

/* The budget, what was made of it, and what more would buy. */
void i4q_mixture_print_budget(const struct i4q_report *report, FILE *stream);

/* The same as JSON; null. */
json_t *i4q_mixture_json(const struct i4q_report *report);

#endif

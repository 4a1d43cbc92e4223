// SPDX-License-Identifier: Apache-2.0
/* The Convs of a rewrite, for people: all of them, or their stages and those that lost most. */
#ifndef INT4Q_REPORT_REWRITE_ROWS_H
#define INT4Q_REPORT_REWRITE_ROWS_H

#include "report/rewrite_report.h"

/* The table of all Convs or, unless the report wants that, of the stages, and an empty line. A weight that
 * Convs share stands in each of its rows. */
void i4q_report_rows(const struct i4q_report *report, FILE *stream);

/* The error on average, and the Convs with the largest. */
void i4q_report_errors(const struct i4q_report *report, FILE *stream);

#endif

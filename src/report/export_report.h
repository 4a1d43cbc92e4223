// SPDX-License-Identifier: Apache-2.0
/* What became of a model on its way to QONNX. */
#ifndef INT4Q_REPORT_EXPORT_REPORT_H
#define INT4Q_REPORT_EXPORT_REPORT_H

#include "rewrite/export.h"

#include <stdio.h>

/* A line a weight, and the totals. */
void i4q_report_exported(const struct i4q_export *exported, FILE *stream);
void i4q_report_export_totals(const struct i4q_export *exported, FILE *stream);

/* What readers of QONNX need to know of the model, which quantizes activations or does not. */
void i4q_report_qonnx_hint(bool has_activations, FILE *stream);

#endif

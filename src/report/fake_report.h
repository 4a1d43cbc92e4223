// SPDX-License-Identifier: Apache-2.0
/* What `inspect` tells of nodes that only QONNX's kin has. */
#ifndef INT4Q_REPORT_FAKE_REPORT_H
#define INT4Q_REPORT_FAKE_REPORT_H

#include "forms/fakes.h"

#include <jansson.h>
#include <stdio.h>

/* A line: how many of each operator and width there are on activations, and how many on constants. None
 * without such nodes. */
void i4q_fake_totals(const struct i4q_fake *fakes, size_t count, FILE *stream);

json_t *i4q_fakes_json(const struct i4q_fake *fakes, size_t count);

#endif

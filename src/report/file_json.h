// SPDX-License-Identifier: Apache-2.0
/* A model file, as `input` and `output` of reports tell it. */
#ifndef INT4Q_REPORT_FILE_JSON_H
#define INT4Q_REPORT_FILE_JSON_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

/* Takes `bytes`, a number or null; NULL when memory runs out. */
json_t *i4q_file_json(const char *path, json_t *bytes, int64_t ir_version, int64_t opset) I4Q_MUST_CHECK;

#endif

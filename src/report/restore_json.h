// SPDX-License-Identifier: Apache-2.0
/* What `int4q restore` did, as one JSON document for scripts. */
#ifndef INT4Q_REPORT_RESTORE_JSON_H
#define INT4Q_REPORT_RESTORE_JSON_H

#include "rewrite/export.h"
#include "rewrite/restore_activations.h"

#include <jansson.h>

struct i4q_restore_report {
    const struct i4q_model *model; /* as it is now */
    const struct i4q_restoration *restoration;
    const struct i4q_export *exported;
    const struct i4q_activation_restoration *activations;
    const char *input_path, *output_path;
    size_t input_bytes, output_bytes; /* external data included */
};

/* The document (keys: docs/reference.md); NULL when memory runs out. */
json_t *i4q_restore_json(const struct i4q_restore_report *report) I4Q_MUST_CHECK;

#endif

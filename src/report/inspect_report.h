// SPDX-License-Identifier: Apache-2.0
/* What `int4q inspect` tells, as a table for people and as JSON for scripts. */
#ifndef INT4Q_REPORT_INSPECT_REPORT_H
#define INT4Q_REPORT_INSPECT_REPORT_H

#include "inspect/inspection.h"
#include "inspect/requirement.h"
#include "platform/terminal.h"

#include <jansson.h>
#include <stdio.h>

struct i4q_inspect_report {
    const struct i4q_inspection *inspection;
    const char *path;
    size_t bytes; /* of the file */
    const struct i4q_requirement *requirements;
    size_t n_requirements;
    bool has_reference;
    bool table; /* of all Convs, in place of their stages */
    struct i4q_look look;
};

/* Writes the text to `stream`, whose state the caller checks. */
void i4q_inspect_text(const struct i4q_inspect_report *report, FILE *stream);

/* The document (keys: docs/reference.md); NULL when memory runs out. */
json_t *i4q_inspect_json(const struct i4q_inspect_report *report) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* What `int4q rewrite` tells: the stages or all Convs and a summary for people, one JSON document for
 * scripts. */
#ifndef INT4Q_REPORT_REWRITE_REPORT_H
#define INT4Q_REPORT_REWRITE_REPORT_H

#include "plan/mixture.h"
#include "platform/terminal.h"
#include "rewrite/rewrite.h"

#include <jansson.h>
#include <stdio.h>

struct i4q_report {
    const struct i4q_plan *plan; /* the arena of its model is used */
    const struct i4q_rewrite *rewrite;
    const char *input_path, *output_path, *topk_path; /* the last may be NULL */
    const struct i4q_budget *budget;                  /* of a mixture */
    size_t input_bytes, output_bytes;                 /* external data included */
    bool dry_run;
    bool written; /* a model was written */
    bool table;   /* of all Convs, in place of their stages */
    struct i4q_look look;
};

/* Writes the text to `stream`, whose state the caller checks. */
void i4q_report_text(const struct i4q_report *report, FILE *stream);

/* The document (keys: docs/reference.md); NULL when memory runs out. */
json_t *i4q_report_json(const struct i4q_report *report) I4Q_MUST_CHECK;

#endif

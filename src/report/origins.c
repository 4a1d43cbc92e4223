// SPDX-License-Identifier: Apache-2.0
#include "report/origins.h"

#include "base/json.h"
#include "report/rewrite_figures.h"

const char *i4q_text_stored(const char *storage, const struct i4q_origin *origin,
                            char buffer[static I4Q_TEXT_NAME])
{
    const char *label = origin ? i4q_dialects[origin->dialect].label : NULL;
    if (!origin)
        snprintf(buffer, I4Q_TEXT_NAME, "%s", storage);
    else if (origin->bits)
        snprintf(buffer, I4Q_TEXT_NAME, "%s (from %s %u bit)", storage, label, origin->bits);
    else
        snprintf(buffer, I4Q_TEXT_NAME, "%s (from %s)", storage, label);
    return buffer;
}

void i4q_json_put_origin(json_t **object, const struct i4q_origin *origin)
{
    bool known = origin && origin->bits;
    i4q_json_put(object, "source", i4q_json_text(origin ? i4q_dialects[origin->dialect].word : NULL));
    i4q_json_put(object, "source_bits", known ? json_integer(origin->bits) : json_null());
    i4q_json_put(object, "exact", origin ? json_boolean(!origin->fault) : json_null());
}

/* "5 int4, 2 int8" */
void i4q_report_imported(const struct i4q_plan *plan, FILE *stream)
{
    const char *separator = "imported   ";
    for (size_t i = 0; i4q_import_format(i); i++) {
        size_t count = i4q_count_imported(plan, i4q_import_format(i));
        if (!count)
            continue;
        fprintf(stream, "%s%zu %s", separator, count, i4q_import_format(i)->name);
        separator = ", ";
    }
    if (plan->n_imports)
        fputs(": every decoded weight equals the original\n", stream);
}

void i4q_report_importable(const struct i4q_plan *plan, FILE *stream)
{
    size_t count = i4q_count_importable(plan);
    if (count)
        fprintf(stream,
                "hint       %zu weights stand for integers already: --import weights stores these, without "
                "changing a number\n",
                count);
}

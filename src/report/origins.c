// SPDX-License-Identifier: Apache-2.0
#include "report/origins.h"

#include "base/json.h"
#include "plan/quants.h"
#include "report/rewrite_figures.h"

#include <string.h>

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

static bool is_left(const struct i4q_plan *plan, const struct i4q_plan_quant *quant)
{
    return i4q_plan_quant_fate(plan, quant) == I4Q_QUANT_LEFT;
}

static bool is_alike(const struct i4q_plan_quant *a, const struct i4q_plan_quant *b)
{
    return a->reason == b->reason &&
           strcmp(i4q_text(a->node->proto->op_type), i4q_text(b->node->proto->op_type)) == 0;
}

/* "2 Quant (zero-point), 1 Trunc", in the order of their first node. */
static bool print_left(const struct i4q_plan *plan, FILE *stream)
{
    const char *separator = "left       ";
    size_t left = 0;
    for (size_t i = 0; i < plan->n_quants; i++) {
        const struct i4q_plan_quant *quant = &plan->quants[i];
        size_t count = 0;
        bool seen = !is_left(plan, quant);
        for (size_t k = 0; k < i && !seen; k++)
            seen = is_left(plan, &plan->quants[k]) && is_alike(quant, &plan->quants[k]);
        for (size_t k = i; k < plan->n_quants && !seen; k++)
            count += is_left(plan, &plan->quants[k]) && is_alike(quant, &plan->quants[k]);
        if (seen)
            continue;
        char op[I4Q_TEXT_NAME];
        const char *reason = i4q_reasons[quant->reason].word;
        fprintf(stream, "%s%zu %s%s%s%s", separator, count,
                i4q_text_mask(i4q_text(quant->node->proto->op_type), op), reason ? " (" : "",
                reason ? reason : "", reason ? ")" : "");
        separator = ", ";
        left += count;
    }
    return left;
}

void i4q_report_quants(const struct i4q_plan *plan, FILE *stream)
{
    size_t linear = i4q_plan_count_quants(plan, I4Q_QUANT_LINEAR),
           sign = i4q_plan_count_quants(plan, I4Q_QUANT_SIGN),
           steps = i4q_plan_count_quants(plan, I4Q_QUANT_STEPS),
           folded = i4q_plan_count_quants(plan, I4Q_QUANT_FOLDED);
    if (linear)
        fprintf(stream, "activations %zu Quant become QuantizeLinear and DequantizeLinear\n", linear);
    if (sign)
        fprintf(stream, "activations %zu BipolarQuant become GreaterOrEqual and Where\n", sign);
    if (steps)
        fprintf(stream, "activations %zu become standard operators, one step at a time\n", steps);
    if (folded)
        fprintf(stream, "constants  %zu behind Quant become floats\n", folded);
    if (print_left(plan, stream))
        fputs(": ONNX Runtime cannot run this file\n", stream);
}

json_t *i4q_json_quants(const struct i4q_plan *plan)
{
    if (!plan->facts->import)
        return json_null();
    json_t *json = json_object(), *left = json_array();
    for (size_t i = 0; i < plan->n_quants; i++) {
        const struct i4q_plan_quant *quant = &plan->quants[i];
        if (!is_left(plan, quant))
            continue;
        json_t *row = json_object();
        i4q_json_put(&row, "node", i4q_json_text(i4q_node_label(quant->node->proto)));
        i4q_json_put(&row, "op", i4q_json_text(i4q_text(quant->node->proto->op_type)));
        i4q_json_put(&row, "reason", i4q_json_text(i4q_reasons[quant->reason].word));
        i4q_json_add(&left, row);
    }
    i4q_json_put(&json, "linear", i4q_json_size(i4q_plan_count_quants(plan, I4Q_QUANT_LINEAR)));
    i4q_json_put(&json, "sign", i4q_json_size(i4q_plan_count_quants(plan, I4Q_QUANT_SIGN)));
    i4q_json_put(&json, "steps", i4q_json_size(i4q_plan_count_quants(plan, I4Q_QUANT_STEPS)));
    i4q_json_put(&json, "folded", i4q_json_size(i4q_plan_count_quants(plan, I4Q_QUANT_FOLDED)));
    i4q_json_put(&json, "left", left);
    return json;
}

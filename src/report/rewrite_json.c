// SPDX-License-Identifier: Apache-2.0
#include "report/rewrite_report.h"

#include "base/json.h"
#include "report/file_json.h"
#include "plan/quants.h"
#include "report/mixture_report.h"
#include "report/origins.h"
#include "report/rewrite_activations.h"
#include "report/rewrite_figures.h"
#include "report/text.h"

#include <math.h>

/* A size of what is stored; null where it is not known what is. */
static json_t *stored(const struct i4q_told *told, size_t value)
{
    return told->before.dims ? i4q_json_size(value) : json_null();
}

static json_t *row_json(const struct i4q_report *report, const struct i4q_plan_row *row)
{
    const struct i4q_conv *conv = row->conv;
    const struct i4q_told told = i4q_tell(report->plan, row);
    bool scored = row->measurement.present && report->plan->sensitivity.scored;
    char op[I4Q_TEXT_NAME];
    json_t *json = json_object();
    i4q_json_put(&json, "node", i4q_json_text(i4q_text(conv->node->proto->name)));
    i4q_json_put(&json, "op", i4q_json_text(i4q_conv_op_name(conv, op, sizeof op)));
    i4q_json_put(&json, "weight", i4q_json_text(conv->weight->name));
    i4q_json_put(&json, "shape", i4q_json_dims(told.before.dims, told.before.rank));
    i4q_json_put(&json, "weights", stored(&told, told.before.count));
    i4q_json_put(&json, "storage", json_string(told.storage));
    i4q_json_put(&json, "block", i4q_json_size(told.block));
    i4q_json_put(&json, "reason", i4q_json_text(i4q_reasons[row->reason].word));
    i4q_json_put_origin(&json, told.imported ? told.imported : told.before.origin);
    i4q_json_put(&json, "sensitivity", i4q_json_real(scored ? row->measurement.score : NAN));
    i4q_json_put(&json, "bytes_before", stored(&told, told.bytes_before));
    i4q_json_put(&json, "bytes_after", stored(&told, told.bytes_after));
    i4q_json_put(&json, "sqnr_db", i4q_json_real(told.sqnr_db));
    i4q_json_put(&json, "max_error", i4q_json_real(told.max_error));
    i4q_json_put(&json, "drift", i4q_json_real(told.drift));
    i4q_json_put(&json, "clipped",
                 isnan(told.clipped) ? json_null() : json_integer((json_int_t)told.clipped));
    i4q_json_put(&json, "moved", isnan(told.moved) ? json_null() : json_integer((json_int_t)told.moved));
    i4q_json_put(&json, "output_sqnr_db", i4q_json_real(told.output_sqnr_db));
    i4q_json_put(&json, "predicted_loss", i4q_json_real(told.predicted_loss));
    return json;
}

static json_t *rows_json(const struct i4q_report *report)
{
    const struct i4q_plan *plan = report->plan;
    json_t *rows = json_array();
    for (size_t i = 0; i < plan->n_rows; i++)
        i4q_json_add(&rows, row_json(report, &plan->rows[i]));
    return rows;
}

static json_t *topk_json(const struct i4q_report *report)
{
    const struct i4q_plan *plan = report->plan;
    if (!plan->has_sensitivity)
        return json_null();
    json_t *json = json_object();
    i4q_json_put(&json, "path", i4q_json_text(report->topk_path));
    i4q_json_put(&json, "entries", i4q_json_size(plan->sensitivity.entries));
    i4q_json_put(&json, "keep", plan->has_keep ? i4q_json_size(plan->keep) : json_null());
    i4q_json_put(&json, "unmatched",
                 i4q_json_texts(plan->sensitivity.unmatched.items, plan->sensitivity.unmatched.count));
    return json;
}

static json_t *upgrade_json(const struct i4q_upgrade *upgrade)
{
    json_t *json = json_object();
    i4q_json_put(&json, "node", i4q_json_text(upgrade->node));
    i4q_json_put(&json, "op", json_string(upgrade->op));
    i4q_json_put(&json, "from", json_integer(upgrade->from));
    i4q_json_put(&json, "to", json_integer(upgrade->to));
    return json;
}

static json_t *upgrades_json(const struct i4q_upgrade *upgrade)
{
    json_t *array = json_array();
    for (; upgrade; upgrade = upgrade->next)
        i4q_json_add(&array, upgrade_json(upgrade));
    return array;
}

static json_t *options_json(const struct i4q_plan *plan)
{
    const struct i4q_recipe *target = &plan->target;
    json_t *json = json_object();
    i4q_json_put(&json, "format", json_string(target->format->name));
    i4q_json_put(&json, "method", json_string(target->method.name));
    i4q_json_put(&json, "decode", json_string(target->form->word));
    i4q_json_put(&json, "dq_domain", json_string(target->form->domain ? target->form->domain : "ai.onnx"));
    i4q_json_put(&json, "block", i4q_json_size(target->block));
    i4q_json_put(&json, "keep_format", json_string(plan->kept.format ? plan->kept.format->name : "float"));
    const struct i4q_activation_options *inputs = &plan->activation_options;
    i4q_json_put(&json, "activations", inputs->levels ? json_string(inputs->levels->name) : json_null());
    i4q_json_put(&json, "activation_scales",
                 inputs->levels ? json_string(inputs->per_channel ? "channel" : "tensor") : json_null());
    return json;
}

static json_t *totals_json(const struct i4q_plan *plan)
{
    struct i4q_average average = i4q_average_error(plan);
    struct i4q_tally tally = i4q_plan_tally(plan);
    size_t weights, quantized;
    i4q_count_weights(plan, &weights, &quantized);
    json_t *json = json_object();
    i4q_json_put(&json, "convs", i4q_json_size(plan->n_rows));
    i4q_json_put(&json, "quantized", i4q_json_size(plan->n_quantized));
    i4q_json_put(&json, "imported", i4q_json_size(i4q_count_rows(plan, I4Q_REASON_IMPORTED)));
    i4q_json_put(&json, "kept", i4q_json_size(plan->n_rows - plan->n_quantized));
    i4q_json_put(&json, "weights", i4q_json_size(weights));
    i4q_json_put(&json, "weights_quantized", i4q_json_size(quantized));
    i4q_json_put(&json, "sqnr_db", i4q_json_real(average.weights_db));
    i4q_json_put(&json, "output_sqnr_db", i4q_json_real(average.outputs_db));
    i4q_json_put(&json, "bits_per_weight", i4q_json_real(i4q_tally_bits(&tally)));
    i4q_json_put(&json, "predicted_loss", i4q_json_real(plan->mixture ? plan->predicted_loss : NAN));
    return json;
}

json_t *i4q_report_json(const struct i4q_report *report)
{
    const struct i4q_plan *plan = report->plan;
    const struct i4q_rewrite *rewrite = report->rewrite;
    json_t *output_bytes = i4q_plan_writes(plan) ? i4q_json_size(report->output_bytes) : json_null();
    json_t *json = json_object();
    i4q_json_put(&json, "schema", json_integer(1));
    i4q_json_put(&json, "command", json_string("rewrite"));
    i4q_json_put(&json, "version", json_string(INT4Q_VERSION));
    i4q_json_put(&json, "dry_run", json_boolean(report->dry_run));
    i4q_json_put(&json, "written", json_boolean(report->written));
    i4q_json_put(&json, "input",
                 i4q_file_json(report->input_path, i4q_json_size(report->input_bytes), rewrite->ir_version[0],
                               rewrite->opset[0]));
    i4q_json_put(&json, "output",
                 i4q_file_json(report->output_path, output_bytes, rewrite->ir_version[1], rewrite->opset[1]));
    i4q_json_put(&json, "options", options_json(plan));
    i4q_json_put(&json, "convs", rows_json(report));
    i4q_json_put(&json, "activations", i4q_report_activations_json(plan));
    i4q_json_put(&json, "totals", totals_json(plan));
    i4q_json_put(&json, "topk", topk_json(report));
    i4q_json_put(&json, "budget", i4q_mixture_json(report));
    i4q_json_put(&json, "upgrades", upgrades_json(rewrite->upgrades));
    i4q_json_put(&json, "quants", i4q_json_quants(plan));
    i4q_json_put(&json, "inputs_dropped", i4q_json_size(rewrite->inputs_dropped));
    i4q_json_put(&json, "notes", i4q_json_texts(plan->notes.items, plan->notes.count));
    return json;
}

// SPDX-License-Identifier: Apache-2.0
#include "report/inspect_report.h"

#include "base/json.h"
#include "report/activation_report.h"
#include "report/fake_report.h"
#include "report/origins.h"
#include "report/text.h"

#include <math.h>

static json_t *histogram_json(const struct i4q_inspected *row)
{
    if (!row->histogram)
        return json_null();
    json_t *histogram = json_array();
    for (size_t i = 0; i < row->n_histogram; i++)
        i4q_json_add(&histogram, i4q_json_size(row->histogram[i]));
    return histogram;
}

static json_t *row_json(const struct i4q_inspected *row)
{
    const struct i4q_storage *storage = &row->storage;
    char op[I4Q_TEXT_NAME];
    json_t *json = json_object();
    i4q_json_put(&json, "node", i4q_json_text(i4q_text(row->conv->node->proto->name)));
    i4q_json_put(&json, "op", i4q_json_text(i4q_conv_op_name(row->conv, op, sizeof op)));
    i4q_json_put(&json, "weight", i4q_json_text(row->conv->weight->name));
    i4q_json_put(&json, "shape", i4q_json_dims(storage->dims, storage->rank));
    i4q_json_put(&json, "storage", json_string(storage->name));
    i4q_json_put_origin(&json, storage->origin);
    i4q_json_put(&json, "activation", i4q_json_text(storage->activation));
    i4q_json_put(&json, "granularity", i4q_json_text(i4q_granularity_name(storage->granularity)));
    i4q_json_put(&json, "block", json_integer(storage->block));
    i4q_json_put(&json, "zero_point", i4q_json_text(i4q_inspected_zero_point(row)));
    i4q_json_put(&json, "bytes", storage->dims ? i4q_json_size(storage->bytes) : json_null());
    i4q_json_put(&json, "scale_min", i4q_json_real(row->scale_min));
    i4q_json_put(&json, "scale_max", i4q_json_real(row->scale_max));
    i4q_json_put(&json, "zero_channels",
                 row->has_zero_channels ? i4q_json_size(row->zero_channels) : json_null());
    i4q_json_put(&json, "histogram", histogram_json(row));
    i4q_json_put(&json, "sqnr_db", i4q_json_real(row->compared ? row->sqnr_db : NAN));
    i4q_json_put(&json, "max_error", i4q_json_real(row->compared ? row->max_error : NAN));
    return json;
}

static json_t *rows_json(const struct i4q_inspection *inspection)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < inspection->n_rows; i++)
        i4q_json_add(&rows, row_json(&inspection->rows[i]));
    return rows;
}

static json_t *external_json(const struct i4q_external *external)
{
    json_t *locations = json_array();
    for (size_t i = 0; i < external->n_files; i++)
        i4q_json_add(&locations, i4q_json_text(external->files[i].location));
    return locations;
}

static json_t *model_json(const struct i4q_inspect_report *report)
{
    const Onnx__ModelProto *proto = report->inspection->model->proto;
    json_t *opsets = json_object();
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const char *domain = i4q_text(proto->opset_import[i]->domain);
        json_t *key = i4q_json_text(*domain ? domain : "ai.onnx");
        i4q_json_put(&opsets, key ? json_string_value(key) : "",
                     key ? json_integer(proto->opset_import[i]->version) : NULL);
        json_decref(key);
    }
    json_t *json = json_object();
    i4q_json_put(&json, "path", i4q_json_text(report->path));
    i4q_json_put(&json, "bytes", i4q_json_size(report->bytes));
    i4q_json_put(&json, "ir_version", json_integer(proto->ir_version));
    i4q_json_put(&json, "opsets", opsets);
    i4q_json_put(&json, "producer", i4q_json_text(i4q_text(proto->producer_name)));
    i4q_json_put(&json, "external", external_json(&report->inspection->model->external));
    return json;
}

static json_t *totals_json(const struct i4q_inspection *inspection)
{
    json_t *totals = json_object();
    for (size_t i = 0; i4q_kind_word(i); i++)
        i4q_json_put(&totals, i4q_kind_word(i),
                     i4q_json_size(i4q_inspection_total(inspection, i4q_kind_word(i))));
    i4q_json_put(&totals, "float_bytes", i4q_json_size(inspection->float_bytes));
    return totals;
}

static json_t *requirement_json(const struct i4q_requirement *requirement)
{
    json_t *json = json_object();
    i4q_json_put(&json, "expr", i4q_json_text(requirement->text));
    i4q_json_put(&json, "holds", json_boolean(requirement->holds));
    i4q_json_put(&json, "value", json_integer((json_int_t)requirement->value));
    return json;
}

static json_t *requirements_json(const struct i4q_inspect_report *report)
{
    json_t *requirements = json_array();
    for (size_t i = 0; i < report->n_requirements; i++)
        i4q_json_add(&requirements, requirement_json(&report->requirements[i]));
    return requirements;
}

json_t *i4q_inspect_json(const struct i4q_inspect_report *report)
{
    const struct i4q_inspection *inspection = report->inspection;
    json_t *json = json_object();
    i4q_json_put(&json, "schema", json_integer(1));
    i4q_json_put(&json, "command", json_string("inspect"));
    i4q_json_put(&json, "version", json_string(INT4Q_VERSION));
    i4q_json_put(&json, "model", model_json(report));
    i4q_json_put(&json, "convs", rows_json(inspection));
    i4q_json_put(&json, "activations",
                 i4q_activations_json(inspection->activations, inspection->n_activations));
    i4q_json_put(&json, "quants", i4q_fakes_json(inspection->fakes, inspection->n_fakes));
    i4q_json_put(&json, "totals", totals_json(inspection));
    i4q_json_put(&json, "bits_per_weight", i4q_json_real(i4q_inspection_bits(inspection)));
    i4q_json_put(&json, "problems", i4q_json_texts(inspection->problems.items, inspection->problems.count));
    i4q_json_put(&json, "requirements", requirements_json(report));
    i4q_json_put(&json, "differences",
                 i4q_json_texts(inspection->differences.texts.items, inspection->differences.texts.count));
    return json;
}

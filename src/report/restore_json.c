// SPDX-License-Identifier: Apache-2.0
#include "report/restore_json.h"

#include "base/json.h"
#include "onnx/model.h"
#include "report/file_json.h"

/* `bits` of the Quant that makes the weight; 0: none does. */
static json_t *weight_json(const struct i4q_restored *restored, const char *became, unsigned bits,
                           const char *reason)
{
    json_t *json = json_object();
    i4q_json_put(&json, "node", i4q_json_text(restored->node));
    i4q_json_put(&json, "weight", i4q_json_text(restored->weight));
    i4q_json_put(&json, "storage", json_string(restored->storage));
    i4q_json_put(&json, "weights", i4q_json_size(restored->count));
    i4q_json_put(&json, "became", json_string(became));
    i4q_json_put(&json, "bits", bits ? json_integer(bits) : json_null());
    i4q_json_put(&json, "reason", i4q_json_text(reason));
    return json;
}

static json_t *weights_json(const struct i4q_restore_report *report)
{
    json_t *array = json_array();
    for (size_t i = 0; i < report->restoration->n_weights; i++)
        i4q_json_add(&array, weight_json(&report->restoration->weights[i], "float", 0, NULL));
    for (size_t i = 0; i < report->exported->n_weights; i++) {
        const struct i4q_exported *exported = report->exported->weights[i];
        bool left = exported->reason != NULL;
        i4q_json_add(&array, weight_json(&exported->weight, left ? "left" : "quant",
                                         left ? 0 : exported->bits, exported->reason));
    }
    return array;
}

static json_t *activation_json(const struct i4q_restored_activation *restored)
{
    static const char *const fates[] = {[I4Q_ACTIVATION_GONE] = "float",
                                        [I4Q_ACTIVATION_FACTOR] = "factor",
                                        [I4Q_ACTIVATION_QUANT] = "quant",
                                        [I4Q_ACTIVATION_LEFT] = "left"};
    json_t *json = json_object();
    i4q_json_put(&json, "tensor", i4q_json_text(restored->pair->tensor->name));
    i4q_json_put(&json, "bits", json_integer(restored->pair->bits));
    i4q_json_put(&json, "became", json_string(fates[restored->fate]));
    i4q_json_put(&json, "reason", i4q_json_text(restored->reason));
    return json;
}

static json_t *activations_json(const struct i4q_activation_restoration *restoration)
{
    json_t *array = json_array();
    for (size_t i = 0; i < restoration->count; i++)
        i4q_json_add(&array, activation_json(&restoration->activations[i]));
    return array;
}

json_t *i4q_restore_json(const struct i4q_restore_report *report)
{
    const Onnx__ModelProto *proto = report->model->proto;
    int64_t ir = proto->ir_version, opset = i4q_opset_version(proto->opset_import, proto->n_opset_import);
    json_t *json = json_object();
    i4q_json_put(&json, "schema", json_integer(1));
    i4q_json_put(&json, "command", json_string("restore"));
    i4q_json_put(&json, "version", json_string(INT4Q_VERSION));
    i4q_json_put(&json, "input",
                 i4q_file_json(report->input_path, i4q_json_size(report->input_bytes), ir, opset));
    i4q_json_put(&json, "output",
                 i4q_file_json(report->output_path, i4q_json_size(report->output_bytes), ir, opset));
    i4q_json_put(&json, "weights", weights_json(report));
    i4q_json_put(&json, "activations", activations_json(report->activations));
    return json;
}

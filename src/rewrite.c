// SPDX-License-Identifier: Apache-2.0
#include "int4q/rewrite.h"

#include "int4q/edit.h"

#include <inttypes.h>

enum { IR_WITHOUT_INITIALIZER_INPUTS = 4 };

/* What stands for a weight in the rewritten model. */
struct stand_in {
    Onnx__TensorProto *codes, *scale, *zero_point;
    Onnx__NodeProto *dequantize;
};

/* ---- the parts of one weight */

static char *derived_name(struct i4q_model *model, const struct i4q_weight *weight, const char *suffix)
{
    char *base = i4q_arena_format(&model->arena, "%s_%s", weight->value->name, suffix);
    return base ? i4q_model_new_name(model, base) : NULL;
}

static Onnx__TensorProto *make_tensor(struct i4q_model *model, const struct i4q_weight *weight,
                                      const char *suffix, int32_t type, const int64_t *dims, size_t n_dims,
                                      const void *data, size_t size)
{
    char *name = derived_name(model, weight, suffix);
    return name ? i4q_edit_tensor(model, name, type, dims, n_dims, data, size) : NULL;
}

/* A zero point of zeros is written out: some readers take a missing one for INT8. */
static bool make_tensors(struct i4q_model *model, const struct i4q_weight *weight, struct stand_in *parts)
{
    const struct i4q_quantize_job *job = weight->job;
    const struct i4q_format *format = job->format;
    const struct i4q_tensor *tensor = &weight->tensor;
    const int64_t *channels = &tensor->dims[weight->channel_axis];
    size_t scale_bytes = job->rows * (job->half ? sizeof(uint16_t) : sizeof(float));
    parts->codes = make_tensor(model, weight, "quantized", format->onnx_type, tensor->dims, tensor->rank,
                               job->codes, i4q_format_bytes(format, tensor->count));
    parts->scale = make_tensor(model, weight, "scale", tensor->type, channels, 1, job->scales, scale_bytes);
    parts->zero_point = make_tensor(model, weight, "zero_point", format->onnx_type, channels, 1, NULL,
                                    i4q_format_bytes(format, job->rows));
    return parts->codes && parts->scale && parts->zero_point;
}

/* The axis is always written: without it readers assume 1. */
static bool make_node(struct i4q_model *model, const struct i4q_weight *weight, struct stand_in *parts)
{
    char *name = derived_name(model, weight, "DequantizeLinear");
    if (!name)
        return false;
    const char *inputs[] = {parts->codes->name, parts->scale->name, parts->zero_point->name};
    const char *outputs[] = {weight->value->name};
    parts->dequantize = i4q_edit_node(model, "DequantizeLinear", name, inputs, 3, outputs, 1);
    return parts->dequantize &&
           i4q_edit_add_int(model, parts->dequantize, "axis", (int64_t)weight->channel_axis);
}

/* ---- graphs */

/* The weight that this value of the scope held, if it is quantized. */
static struct i4q_weight *quantized_weight(const struct i4q_scope *scope, const char *name)
{
    const struct i4q_value *value = i4q_table_get(&scope->values, name);
    struct i4q_weight *weight = value ? value->attached : NULL;
    return weight && weight->quantized ? weight : NULL;
}

static bool add_tensors(struct i4q_model *model, struct i4q_list *list, const struct stand_in *parts)
{
    return i4q_list_add(&model->arena, list, parts->codes) &&
           i4q_list_add(&model->arena, list, parts->scale) &&
           i4q_list_add(&model->arena, list, parts->zero_point);
}

/* The new initializers stand where the weight stood, or at the end when it came from a Constant node. */
static bool replace_initializers(struct i4q_model *model, struct i4q_scope *scope,
                                 const struct i4q_plan *plan, const struct stand_in *parts)
{
    Onnx__GraphProto *graph = scope->graph;
    struct i4q_list list = {0};
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const struct i4q_weight *weight = quantized_weight(scope, i4q_text(graph->initializer[i]->name));
        bool added = weight ? add_tensors(model, &list, &parts[weight - plan->weights])
                            : i4q_list_add(&model->arena, &list, graph->initializer[i]);
        if (!added)
            return false;
    }
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_weight *weight = &plan->weights[i];
        bool from_node = weight->quantized && weight->value->scope == scope && !weight->value->initializer;
        if (from_node && !add_tensors(model, &list, &parts[i]))
            return false;
    }
    graph->initializer = (Onnx__TensorProto **)list.items;
    graph->n_initializer = list.count;
    return true;
}

/* The new nodes read initializers only, so the front is always a valid place for them, also for bodies that
 * capture the weight. Constant nodes that held a weight go. */
static bool replace_nodes(struct i4q_model *model, struct i4q_scope *scope, const struct i4q_plan *plan,
                          const struct stand_in *parts)
{
    Onnx__GraphProto *graph = scope->graph;
    struct i4q_list list = {0};
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_weight *weight = &plan->weights[i];
        if (weight->quantized && weight->value->scope == scope &&
            !i4q_list_add(&model->arena, &list, parts[i].dequantize))
            return false;
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        bool held_weight =
            i4q_node_is(node, "Constant") && node->n_output && quantized_weight(scope, node->output[0]);
        if (!held_weight && !i4q_list_add(&model->arena, &list, node))
            return false;
    }
    graph->node = (Onnx__NodeProto **)list.items;
    graph->n_node = list.count;
    return true;
}

static bool holds_weights(const struct i4q_scope *scope, const struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_weights; i++)
        if (plan->weights[i].quantized && plan->weights[i].value->scope == scope)
            return true;
    return false;
}

static bool replace_weights(struct i4q_model *model, const struct i4q_plan *plan)
{
    struct stand_in *parts = i4q_arena_alloc(&model->arena, plan->n_weights, sizeof *parts);
    if (!parts)
        return false;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_weight *weight = &plan->weights[i];
        if (weight->quantized &&
            (!make_tensors(model, weight, &parts[i]) || !make_node(model, weight, &parts[i])))
            return false;
    }
    for (struct i4q_scope *scope = model->scopes; scope; scope = scope->next)
        if (holds_weights(scope, plan) &&
            (!replace_initializers(model, scope, plan, parts) || !replace_nodes(model, scope, plan, parts)))
            return false;
    return true;
}

/* A value that is both an input and the output of a node would be defined twice; and from IR version 4 on a
 * listed initializer could be replaced by the caller, which nobody meant here. */
static size_t drop_constant_inputs(struct i4q_model *model)
{
    Onnx__GraphProto *graph = model->proto->graph;
    size_t kept = 0;
    for (size_t i = 0; i < graph->n_input; i++) {
        const struct i4q_value *value =
            i4q_table_get(&model->scopes->values, i4q_text(graph->input[i]->name));
        if (!value->initializer)
            graph->input[kept++] = graph->input[i];
    }
    size_t dropped = graph->n_input - kept;
    graph->n_input = kept;
    return dropped;
}

/* ---- the model */

static int64_t main_opset(const struct i4q_model *model)
{
    return i4q_opset_version(model->proto->opset_import, model->proto->n_opset_import);
}

int64_t i4q_rewrite_opset_needed(const struct i4q_model *model, const struct i4q_format *format)
{
    int64_t own = main_opset(model);
    return own > format->opset ? own : format->opset;
}

static int64_t ir_version_needed(const struct i4q_model *model, const struct i4q_format *format)
{
    int64_t version = model->proto->ir_version;
    version = version < format->ir_version ? format->ir_version : version;
    return version < IR_WITHOUT_INITIALIZER_INPUTS ? IR_WITHOUT_INITIALIZER_INPUTS : version;
}

static bool set_versions(struct i4q_model *model, const struct i4q_plan *plan, int64_t opset,
                         struct i4q_rewrite *result, struct i4q_error *error)
{
    int64_t needed = i4q_rewrite_opset_needed(model, plan->format);
    if (opset && opset < needed)
        return i4q_fail(error, I4Q_USAGE, "--opset %" PRId64 " is below %" PRId64 ", which the result needs",
                        opset, needed);
    if (!i4q_opset_upgrade(model, opset ? opset : needed, &result->upgrades, error))
        return false;
    model->proto->ir_version = ir_version_needed(model, plan->format);
    return true;
}

bool i4q_rewrite_apply(struct i4q_model *model, const struct i4q_plan *plan, int64_t opset,
                       struct i4q_rewrite *result, struct i4q_error *error)
{
    *result = (struct i4q_rewrite){.ir_version[0] = model->proto->ir_version, .opset[0] = main_opset(model)};
    if (plan->n_quantized) {
        if (!set_versions(model, plan, opset, result, error))
            return false;
        if (!replace_weights(model, plan))
            return i4q_fail_memory(error);
        if (plan->inputs_are_constant)
            result->inputs_dropped = drop_constant_inputs(model);
    }
    result->ir_version[1] = model->proto->ir_version;
    result->opset[1] = main_opset(model);
    result->bytes = onnx__model_proto__get_packed_size(model->proto);
    if (result->bytes > INT32_MAX)
        return i4q_fail(error, I4Q_MODEL,
                        "the result has %zu bytes, more than the 2 GiB of a protobuf message", result->bytes);
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/bias.h"

#include "base/half.h"
#include "onnx/edit.h"

#include <math.h>
#include <string.h>

enum { BIAS_INPUT = 2 };

/* The value that is the bias; NULL: there is none, or nothing defines it. */
static const struct i4q_value *bias_value(const struct i4q_plan_row *row)
{
    const Onnx__NodeProto *node = row->conv->node->proto;
    return node->n_input > BIAS_INPUT && *node->input[BIAS_INPUT]
               ? i4q_scope_resolve(row->conv->node->scope, node->input[BIAS_INPUT])
               : NULL;
}

static bool has_bias(const struct i4q_plan_row *row)
{
    const Onnx__NodeProto *node = row->conv->node->proto;
    return node->n_input > BIAS_INPUT && *node->input[BIAS_INPUT];
}

static bool fits(const Onnx__TensorProto *bias, const struct i4q_weight *weight)
{
    return bias && bias->data_type == weight->tensor.type && bias->n_dims == 1 &&
           bias->dims[0] == (int64_t)i4q_weight_channels(weight);
}

bool i4q_bias_is_constant(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = bias_value(row);
    if (!has_bias(row))
        return true;
    bool replaceable = value && value->is_input && !plan->inputs_are_constant;
    return value && !replaceable && fits(i4q_value_tensor(value), row->weight->fact);
}

float *i4q_bias_values(const struct i4q_plan *plan, const struct i4q_plan_row *row, struct i4q_arena *arena)
{
    const struct i4q_quantize_job *job = row->weight->job;
    const struct i4q_value *value = bias_value(row);
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    float *values = i4q_arena_alloc(arena, job->channels, sizeof *values);
    if (!values || (value && !i4q_tensor_payload(arena, i4q_value_tensor(value), &payload, &ignored)))
        return NULL;
    for (size_t i = 0; i < job->channels; i++) {
        float old = value ? i4q_real_load(payload.data, job->half, i) : 0;
        float corrected = (float)((double)old + (job->bias ? job->bias[i] : 0));
        values[i] = isfinite(corrected) ? corrected : old;
    }
    return values;
}

/* A tensor `name` with the corrected values, where the type can hold them; those before count as 0 where
 * there is no `payload`. */
static Onnx__TensorProto *corrected(struct i4q_model *model, const struct i4q_plan_weight *weight,
                                    const char *name, const struct i4q_view *payload)
{
    const struct i4q_quantize_job *job = weight->job;
    const int64_t dims[] = {(int64_t)job->channels};
    Onnx__TensorProto *made = i4q_edit_blank_tensor(model, name, weight->fact->tensor.type, dims, 1,
                                                    job->channels * i4q_real_size(job->half));
    for (size_t i = 0; made && i < job->channels; i++) {
        uint8_t *data = made->raw_data.data;
        float old = payload ? i4q_real_load(payload->data, job->half, i) : 0;
        i4q_real_store(data, job->half, i, (float)((double)old + job->bias[i]));
        if (!isfinite(i4q_real_load(data, job->half, i)))
            i4q_real_store(data, job->half, i, old);
    }
    return made;
}

/* A bias of the Conv's own. */
static bool add(struct i4q_model *model, const struct i4q_plan_row *row, const char *base,
                const struct i4q_view *payload)
{
    const char *name = i4q_graph_new_name(&model->graph, base);
    Onnx__TensorProto *made = name ? corrected(model, row->weight, name, payload) : NULL;
    return made && i4q_edit_add_initializer(model, row->conv->node->scope, made) &&
           i4q_edit_set_input(model, row->conv->node->proto, BIAS_INPUT, name);
}

static bool correct(struct i4q_model *model, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = bias_value(row);
    struct i4q_error error = {0};
    struct i4q_view payload;
    if (!value) {
        const char *base = i4q_arena_format(&model->arena, "%s_bias", row->weight->fact->value->name);
        return base && add(model, row, base, NULL);
    }
    Onnx__TensorProto *bias = i4q_value_tensor(value);
    if (!i4q_tensor_payload(&model->arena, bias, &payload, &error))
        return error.code == I4Q_MODEL; /* no bias that anything could read; left as it is */
    if (value->is_output || !value->uses || value->uses->next) {
        const char *base = i4q_arena_format(&model->arena, "%s_corrected", value->name);
        return base && add(model, row, base, &payload);
    }
    /* In place: whatever holds the tensor, a list of initializers or a Constant node, holds the new one. */
    Onnx__TensorProto *made = corrected(model, row->weight, bias->name, &payload);
    if (!made || !i4q_edit_open(model, &bias->base))
        return false;
    i4q_edit_take_place(made, bias);
    *bias = *made;
    return true;
}

bool i4q_bias_apply(const struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        bool measured = row->weight && row->weight->recipe && row->weight->job->bias && !row->computes;
        if (measured && i4q_bias_is_constant(plan, row) && !correct(plan->facts->model, row))
            return false;
    }
    return true;
}

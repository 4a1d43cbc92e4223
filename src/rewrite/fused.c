// SPDX-License-Identifier: Apache-2.0
#include "rewrite/fused.h"

#include "forms/activation.h"
#include "onnx/prune.h"
#include "plan/bias.h"
#include "plan/fused.h"
#include "rewrite/insert.h"

#include <math.h>
#include <string.h>

enum { BIAS_INPUT = 2 };

struct fusing {
    const struct i4q_plan *plan;
    struct i4q_model *model;
    struct i4q_table shared; /* see forms/activation.h */
    struct i4q_table behind; /* the name of a value -> struct i4q_list of nodes */
    struct i4q_list front;   /* nodes that read what is stored, or an input */
    struct i4q_list unread;  /* biases that are stored anew */
};

/* ---- values */

/* Where the pair of a value goes: behind its node, or to the front. */
static struct i4q_list *place_of(struct fusing *fusing, const struct i4q_value *value)
{
    if (!value->producer)
        return &fusing->front;
    void **slot = i4q_table_at(&fusing->behind, value->name);
    if (slot && !*slot)
        *slot = i4q_arena_alloc(&fusing->model->arena, 1, sizeof(struct i4q_list));
    return slot ? *slot : NULL;
}

static bool redirect(struct i4q_model *model, const struct i4q_value *value, const char *name)
{
    for (const struct i4q_use *use = value->uses; use; use = use->next)
        if (!i4q_edit_set_input(model, use->node->proto, use->input, name))
            return false;
    return true;
}

static bool quantize(struct fusing *fusing, const struct i4q_value *value)
{
    const struct i4q_qdq_place place = {fusing->model, fusing->model->graph.scopes, &fusing->shared};
    const struct i4q_qdq pair = {
        .name = value->name,
        .is_signed = fusing->plan->activation_options.levels->is_signed,
        .range = *i4q_plan_fused_range(fusing->plan->fused, value),
    };
    struct i4q_list *nodes = place_of(fusing, value);
    const char *name = nodes ? i4q_qdq_emit(&place, &pair, nodes) : NULL;
    return name && redirect(fusing->model, value, name);
}

static bool quantize_values(struct fusing *fusing)
{
    for (size_t i = 0; i < fusing->plan->fused->n_values; i++)
        if (!quantize(fusing, fusing->plan->fused->values[i]))
            return false;
    return true;
}

/* ---- biases */

static char *new_name(struct fusing *fusing, const char *base, const char *suffix)
{
    char *name = i4q_arena_format(&fusing->model->arena, "%s_%s", base, suffix);
    return name ? i4q_graph_new_name(&fusing->model->graph, name) : NULL;
}

static Onnx__TensorProto *add_numbers(struct fusing *fusing, const char *base, const char *suffix,
                                      int32_t type, size_t n)
{
    const int64_t dims[] = {(int64_t)n};
    const char *name = new_name(fusing, base, suffix);
    Onnx__TensorProto *made =
        name ? i4q_edit_blank_tensor(fusing->model, name, type, dims, 1, n * sizeof(float)) : NULL;
    return made && i4q_edit_add_initializer(fusing->model, fusing->model->graph.scopes, made) ? made : NULL;
}

/* The value that has the bias; NULL when memory runs out. */
static const char *add_bias(struct fusing *fusing, const struct i4q_plan_row *row, const char *base,
                            const float *values)
{
    const struct i4q_quantize_job *job = row->weight->job;
    const struct i4q_value *input = i4q_input_value(row->conv->node, 0);
    const struct i4q_range *range = i4q_plan_fused_range(fusing->plan->fused, input);
    Onnx__TensorProto *codes = add_numbers(fusing, base, "int32", I4Q_TYPE(INT32), job->channels),
                      *scales = add_numbers(fusing, base, "scale", I4Q_TYPE(FLOAT), job->channels);
    if (!codes || !scales)
        return NULL;
    for (size_t i = 0; job->scales && i < job->channels; i++) {
        float scale = i4q_fused_bias_scale(job, i, range);
        int32_t code = (int32_t)rint((double)values[i] / (double)scale);
        memcpy(scales->raw_data.data + i * sizeof scale, &scale, sizeof scale);
        memcpy(codes->raw_data.data + i * sizeof code, &code, sizeof code);
    }
    const char *inputs[] = {codes->name, scales->name}, *output = new_name(fusing, base, "dequantized");
    const char *name = new_name(fusing, base, "DequantizeLinear");
    Onnx__NodeProto *node =
        output && name ? i4q_edit_node(fusing->model, "DequantizeLinear", name, inputs, 2, &output, 1) : NULL;
    bool ok = node && i4q_edit_add_int(fusing->model, node, "axis", 0) &&
              i4q_list_add(&fusing->model->arena, &fusing->front, node);
    return ok ? output : NULL;
}

static bool store_bias(struct fusing *fusing, const struct i4q_plan_row *row)
{
    Onnx__NodeProto *node = row->conv->node->proto;
    bool has_bias = node->n_input > BIAS_INPUT && *node->input[BIAS_INPUT];
    struct i4q_arena *arena = &fusing->model->arena;
    if (!has_bias && !row->weight->job->bias)
        return true;
    const char *base = has_bias ? node->input[BIAS_INPUT]
                                : i4q_arena_format(arena, "%s_bias", row->weight->fact->value->name);
    const float *values = i4q_bias_values(fusing->plan, row, arena);
    const char *name = base && values ? add_bias(fusing, row, base, values) : NULL;
    return name && (!has_bias || i4q_list_add(arena, &fusing->unread, (void *)base)) &&
           i4q_edit_set_input(fusing->model, node, BIAS_INPUT, name);
}

static bool store_biases(struct fusing *fusing)
{
    for (size_t i = 0; i < fusing->plan->n_rows; i++) {
        const struct i4q_plan_row *row = &fusing->plan->rows[i];
        if (row->computes && !store_bias(fusing, row))
            return false;
    }
    return true;
}

bool i4q_fused_apply(const struct i4q_plan *plan)
{
    struct i4q_model *model = plan->facts->model;
    struct fusing fusing = {.plan = plan, .model = model};
    if (!plan->fused || !plan->fused->n_values)
        return true;
    i4q_table_init(&fusing.shared, &model->arena);
    i4q_table_init(&fusing.behind, &model->arena);
    return store_biases(&fusing) && quantize_values(&fusing) &&
           i4q_insert_nodes(model, &fusing.front, &fusing.behind) &&
           (!fusing.unread.count || i4q_prune(model, model->proto->graph, &fusing.unread));
}

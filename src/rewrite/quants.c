// SPDX-License-Identifier: Apache-2.0
#include "rewrite/quants.h"

#include "forms/steps.h"
#include "forms/thresholds.h"
#include "onnx/dtype.h"
#include "onnx/prune.h"

#include <string.h>

enum { OPSET_AXIS = 13 };

int64_t i4q_quants_opset(const struct i4q_plan *plan)
{
    bool nodes = i4q_plan_count_quants(plan, I4Q_QUANT_LINEAR) ||
                 i4q_plan_count_quants(plan, I4Q_QUANT_SIGN) || i4q_plan_count_quants(plan, I4Q_QUANT_STEPS);
    return nodes ? OPSET_AXIS : 0;
}

/* ---- QuantizeLinear (, Clip), DequantizeLinear */

/* A vector of n elements; of one a scalar. */
static const char *vector(struct i4q_emission *emission, const char *suffix, int32_t type, const void *data,
                          size_t n)
{
    const int64_t dims[] = {(int64_t)n};
    const Onnx__TensorProto *made =
        i4q_emit_tensor(emission, suffix, type, dims, n > 1, data, i4q_dtype_bytes(i4q_dtype_find(type), n));
    return made ? made->name : "";
}

static const char *emit_scales(struct i4q_emission *emission, const struct i4q_parameter *scale)
{
    size_t n = scale->numbers.count;
    float *scales = i4q_arena_alloc(&emission->model->arena, n, sizeof *scales);
    emission->failed |= !scales;
    for (size_t i = 0; scales && i < n; i++)
        scales[i] = (float)i4q_number(&scale->numbers, i);
    return vector(emission, "scale", I4Q_TYPE(FLOAT), scales, n);
}

static const char *emit_zeros(struct i4q_emission *emission, int32_t type, size_t n)
{
    uint8_t *zeros = i4q_arena_alloc(&emission->model->arena, n, 1);
    emission->failed |= !zeros;
    return vector(emission, "zero_point", type, zeros, n);
}

/* A bound of Clip, shared by all that have it. */
static const char *emit_bound(struct i4q_emission *emission, const char *suffix, int32_t type, float bound)
{
    struct i4q_arena *arena = &emission->model->arena;
    char *key = i4q_arena_format(arena, "bound %d %g", (int)type, (double)bound);
    uint8_t *code = i4q_arena_alloc(arena, 1, 1);
    emission->failed |= !key || !code;
    if (emission->failed)
        return "";
    *code = (uint8_t)(int)bound;
    return i4q_emit_shared(emission, key, suffix, type, NULL, 0, code, 1);
}

static void emit_linear(struct i4q_emission *emission, const struct i4q_plan_quant *quant)
{
    const struct i4q_origin *origin = quant->origin;
    struct i4q_quant all = {.bits = 8, .is_signed = origin->quant.is_signed};
    int32_t type = all.is_signed ? I4Q_TYPE(INT8) : I4Q_TYPE(UINT8);
    size_t n = origin->scale.numbers.count;
    float low, high, least, most;
    i4q_quant_range(&origin->quant, &low, &high);
    i4q_quant_range(&all, &least, &most);
    const char *scale = emit_scales(emission, &origin->scale), *zero = emit_zeros(emission, type, n);
    Onnx__NodeProto *quantize =
        i4q_emit_node(emission, "QuantizeLinear", "quantized", quant->node->proto->input[0], scale, zero);
    const char *codes = i4q_emit_output(quantize);
    if (low > least || high < most) {
        const char *from = emit_bound(emission, "clip_low", type, low),
                   *to = emit_bound(emission, "clip_high", type, high);
        codes = i4q_emit_output(i4q_emit_node(emission, "Clip", "clipped", codes, from, to));
    }
    Onnx__NodeProto *dequantize = i4q_emit_node(emission, "DequantizeLinear", NULL, codes, scale, zero);
    if (n > 1) {
        i4q_emit_int(emission, quantize, "axis", -(int64_t)origin->scale.axis);
        i4q_emit_int(emission, dequantize, "axis", -(int64_t)origin->scale.axis);
    }
}

/* ---- GreaterOrEqual, Where */

static const char *emit_negative(struct i4q_emission *emission, const struct i4q_parameter *scale)
{
    size_t n = scale->numbers.count;
    float *scales = i4q_arena_alloc(&emission->model->arena, n, sizeof *scales);
    emission->failed |= !scales;
    for (size_t i = 0; scales && i < n; i++)
        scales[i] = -(float)i4q_number(&scale->numbers, i);
    const Onnx__TensorProto *made =
        i4q_emit_tensor(emission, "negative_scale", I4Q_TYPE(FLOAT), scale->proto->dims, scale->proto->n_dims,
                        scales, n * sizeof *scales);
    return made ? made->name : "";
}

static void emit_sign(struct i4q_emission *emission, const struct i4q_plan_quant *quant)
{
    char **inputs = quant->node->proto->input;
    const char *bound = i4q_emit_number(emission, 0);
    const char *is_positive =
        i4q_emit_output(i4q_emit_node(emission, "GreaterOrEqual", "positive", inputs[0], bound, NULL));
    i4q_emit_node(emission, "Where", NULL, is_positive, inputs[1],
                  emit_negative(emission, &quant->origin->scale));
}

/* ---- constants */

static void emit_floats(struct i4q_emission *emission, const struct i4q_origin *origin)
{
    const Onnx__TensorProto *shape = origin->proto;
    size_t count = origin->tensor.count;
    Onnx__TensorProto *made =
        i4q_edit_blank_tensor(emission->model, emission->weight->value->name, I4Q_TYPE(FLOAT), shape->dims,
                              shape->n_dims, count * sizeof(float));
    emission->failed |= !made || !i4q_list_add(&emission->model->arena, &emission->tensors, made);
    if (emission->failed)
        return;
    i4q_origin_values(origin, 0, count, (float *)(void *)made->raw_data.data);
    i4q_edit_take_place(made, origin->proto);
}

/* ---- graphs */

/* One graph at work: what takes the place of nodes, by their first output. */
struct front {
    struct i4q_table made; /* -> struct i4q_list of nodes */
    struct i4q_table shared;
    struct i4q_list unread;
};

static struct i4q_value *value_of(const struct i4q_plan_quant *quant)
{
    return i4q_scope_resolve(quant->node->scope, quant->node->proto->output[0]);
}

static bool place(struct i4q_model *model, struct front *front, const struct i4q_plan_quant *quant)
{
    Onnx__TensorProto plain = ONNX__TENSOR_PROTO__INIT; /* not external */
    const struct i4q_weight value = {.value = value_of(quant), .proto = &plain};
    struct i4q_emission emission = {.model = model, .weight = &value, .shared = &front->shared};
    struct i4q_list *nodes = i4q_arena_alloc(&model->arena, 1, sizeof *nodes);
    void **slot = i4q_table_at(&front->made, quant->node->proto->output[0]);
    if (!nodes || !slot)
        return false;
    if (quant->fate == I4Q_QUANT_LINEAR)
        emit_linear(&emission, quant);
    else if (quant->fate == I4Q_QUANT_SIGN)
        emit_sign(&emission, quant);
    else if (quant->fate == I4Q_QUANT_STEPS && !quant->origin)
        i4q_emit_thresholds(&emission, quant->node, quant->rank);
    else if (quant->fate == I4Q_QUANT_STEPS)
        i4q_emit_steps(&emission, quant->node, quant->origin);
    else
        emit_floats(&emission, quant->origin);
    *nodes = emission.nodes;
    *slot = nodes;
    for (size_t i = 0; i < emission.tensors.count && !emission.failed; i++)
        emission.failed |= !i4q_edit_add_initializer(model, quant->node->scope, emission.tensors.items[i]);
    for (size_t i = 0; i < quant->node->proto->n_input && !emission.failed; i++)
        emission.failed |= !i4q_list_add(&model->arena, &front->unread, quant->node->proto->input[i]);
    return !emission.failed;
}

static bool rebuild(struct i4q_model *model, Onnx__GraphProto *graph, const struct front *front)
{
    struct i4q_list list = {0};
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        const struct i4q_list *made = node->n_output ? i4q_table_get(&front->made, node->output[0]) : NULL;
        if (!made && !i4q_list_add(&model->arena, &list, node))
            return false;
        for (size_t k = 0; made && k < made->count; k++)
            if (!i4q_list_add(&model->arena, &list, made->items[k]))
                return false;
    }
    graph->node = (Onnx__NodeProto **)list.items;
    graph->n_node = list.count;
    return i4q_prune(model, graph, &front->unread);
}

static bool changes(const struct i4q_plan *plan, const struct i4q_plan_quant *quant)
{
    enum i4q_quant_fate fate = i4q_plan_quant_fate(plan, quant);
    return fate != I4Q_QUANT_LEFT && fate != I4Q_QUANT_WEIGHT;
}

static bool apply_scope(const struct i4q_plan *plan, const struct i4q_scope *scope)
{
    struct i4q_model *model = plan->facts->model;
    struct front front = {0};
    i4q_table_init(&front.made, &model->arena);
    i4q_table_init(&front.shared, &model->arena);
    for (size_t i = 0; i < plan->n_quants; i++)
        if (plan->quants[i].node->scope == scope && changes(plan, &plan->quants[i]) &&
            !place(model, &front, &plan->quants[i]))
            return false;
    return !front.unread.count ||
           (i4q_edit_open(model, &scope->graph->base) && rebuild(model, scope->graph, &front));
}

/* ---- domains */

static bool has_left(const struct i4q_plan *plan, const char *domain)
{
    bool left = false;
    for (size_t i = 0; i < plan->n_quants && !left; i++)
        left = strcmp(i4q_text(plan->quants[i].node->proto->domain), domain) == 0 &&
               i4q_plan_quant_fate(plan, &plan->quants[i]) == I4Q_QUANT_LEFT;
    return left;
}

/* Imports of domains that the model has used, and uses no more; open is the model's message. */
static void drop_imports(const struct i4q_plan *plan)
{
    Onnx__ModelProto *proto = plan->facts->model->proto;
    size_t kept = 0;
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const char *domain = i4q_text(proto->opset_import[i]->domain);
        bool used = false;
        for (size_t k = 0; k < plan->n_quants && !used; k++)
            used = strcmp(i4q_text(plan->quants[k].node->proto->domain), domain) == 0;
        if (!used || has_left(plan, domain))
            proto->opset_import[kept++] = proto->opset_import[i];
    }
    proto->n_opset_import = kept;
}

bool i4q_quants_apply(const struct i4q_plan *plan)
{
    struct i4q_model *model = plan->facts->model;
    bool any = i4q_plan_changes_quants(plan);
    for (const struct i4q_scope *scope = model->graph.scopes; scope && any; scope = scope->next)
        if (scope->graph && !apply_scope(plan, scope))
            return false;
    if (!i4q_edit_open(model, &model->proto->base))
        return false;
    drop_imports(plan);
    return true;
}

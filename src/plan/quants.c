// SPDX-License-Identifier: Apache-2.0
#include "plan/quants.h"

#include "forms/fakes.h"
#include "forms/origin_quant.h"
#include "forms/steps.h"
#include "forms/thresholds.h"
#include "onnx/ranks.h"

#include <math.h>
#include <string.h>

/* Folding takes floats for each node that reads a tensor, but does not turn a small model into one that fills
 * the memory. */
enum { FOLDED_RATIO = 64, FOLDED_ROOM = 16 << 20 };

enum { WEIGHT_BITS = 8, EXACT_BITS = 24 };

/* Where more bits than binary32 has are asked for, no code may come near the bounds. */
static const float MOST_CODE = 0x1p22f;

struct finder {
    struct i4q_plan *plan;
    bool all;
    bool *is_weight; /* by the index of a value: some Conv's weight is made of it, and can be imported */
    size_t room;     /* bytes that may still be folded */
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_of_kin(const Onnx__NodeProto *node)
{
    const char *domain = i4q_text(node->domain);
    return begins(domain, "onnx.brevitas") || begins(domain, "qonnx.") || begins(domain, "finn.");
}

/* ---- constants */

/* Codes of a wide Quant are exact where they are far from its bounds. */
static bool is_within(const struct i4q_origin *origin)
{
    for (size_t i = 0; i < origin->tensor.count; i++) {
        float value;
        i4q_origin_values(origin, i, 1, &value);
        size_t channel = 0, inner = 1;
        for (size_t k = origin->axis + 1; k < origin->tensor.rank; k++)
            inner *= (size_t)origin->tensor.dims[k];
        if (origin->scale.numbers.count > 1)
            channel = i / inner % (size_t)origin->tensor.dims[origin->axis];
        if (!(fabs((double)value) < (double)MOST_CODE * i4q_number(&origin->scale.numbers, channel)))
            return false;
    }
    return true;
}

static enum i4q_fault find_fold_fault(struct i4q_origin *origin)
{
    bool wide = origin->fault == I4Q_FAULT_BIT_WIDTH && origin->bits > WEIGHT_BITS;
    if (wide)
        origin->fault = I4Q_FAULT_NONE;
    if (wide && origin->bits > EXACT_BITS) {
        origin->quant.bits = EXACT_BITS;
        return is_within(origin) ? I4Q_FAULT_NONE : I4Q_FAULT_BIT_WIDTH;
    }
    return origin->fault;
}

/* Whether a caller may give another one than is stored. */
static bool is_replaceable(const struct i4q_node *node, size_t input)
{
    const struct i4q_value *value = i4q_finder_value(node, input);
    return value && value->is_input && i4q_value_tensor(value);
}

/* Steps read scales where they are, but zero points become numbers of theirs, and of Trunc both scales. */
static bool has_steps(const struct i4q_plan *plan, const struct i4q_node *node,
                      const struct i4q_origin *origin)
{
    enum { SCALE = 1, ZERO_POINT = 2, TRUNC_OUTPUT_SCALE = 4 };
    bool is_trunc = origin->coding == I4Q_CODING_TRUNC;
    bool replaceable =
        is_replaceable(node, ZERO_POINT) ||
        (is_trunc && (is_replaceable(node, SCALE) || is_replaceable(node, TRUNC_OUTPUT_SCALE)));
    return (plan->inputs_are_constant || !replaceable) && i4q_has_steps(node, origin);
}

static void decide_constant(struct finder *finder, struct i4q_origin *origin, struct i4q_plan_quant *quant)
{
    bool replaceable = origin->reads_input && !finder->plan->inputs_are_constant;
    size_t bytes = origin->tensor.count * sizeof(float);
    quant->reason = i4q_reason_of_fault(find_fold_fault(origin));
    quant->origin = origin;
    if (quant->reason == I4Q_REASON_IMPORTED && !replaceable && bytes <= finder->room) {
        finder->room -= bytes;
        quant->fate = I4Q_QUANT_FOLDED;
    } else if (has_steps(finder->plan, quant->node, origin)) {
        quant->fate = I4Q_QUANT_STEPS;
    } else if (replaceable) {
        quant->reason = I4Q_REASON_WEIGHT_IS_INPUT;
    }
}

/* ---- activations */

/* QuantizeLinear gives what it reads its shape; a scale of more dimensions makes all of them Quant's
 * result's. */
static bool raises_rank(const struct i4q_plan_quant *quant)
{
    const struct i4q_value *scale = i4q_finder_value(quant->node, 1);
    const Onnx__TensorProto *stored = scale ? i4q_value_tensor(scale) : NULL;
    return stored && quant->rank != I4Q_RANK_UNKNOWN && (int64_t)stored->n_dims > quant->rank;
}

/* QuantizeLinear rounds half to even, and before it adds the zero point; it has no codes -1 and 1. */
static enum i4q_fault find_linear_fault(const struct i4q_plan_quant *quant, const struct i4q_origin *origin)
{
    const struct i4q_node *node = quant->node;
    if (origin->fault || origin->dialect == I4Q_DIALECT_BIPOLAR)
        return origin->fault;
    if (origin->coding == I4Q_CODING_TRUNC)
        return i4q_has_zero_point(node, origin) ? I4Q_FAULT_ZERO_POINT : I4Q_FAULT_ROUNDING;
    if (raises_rank(quant))
        return I4Q_FAULT_SCALE_SHAPE;
    if (origin->quant.rounding != I4Q_ROUND_HALF_EVEN)
        return I4Q_FAULT_ROUNDING;
    if (origin->bits == 1 && origin->quant.is_signed)
        return I4Q_FAULT_BIT_WIDTH;
    return i4q_has_zero_point(node, origin) ? I4Q_FAULT_ZERO_POINT : I4Q_FAULT_NONE;
}

static void decide_activation(struct i4q_plan *plan, const struct i4q_origin *origin,
                              struct i4q_plan_quant *quant)
{
    bool replaceable = origin->reads_input && !plan->inputs_are_constant;
    bool steps = has_steps(plan, quant->node, origin);
    quant->reason =
        replaceable ? I4Q_REASON_SCALE_COMPUTED : i4q_reason_of_fault(find_linear_fault(quant, origin));
    bool linear = quant->reason == I4Q_REASON_IMPORTED;
    if (!linear && !steps)
        return;
    quant->fate = !linear                                  ? I4Q_QUANT_STEPS
                  : origin->dialect == I4Q_DIALECT_BIPOLAR ? I4Q_QUANT_SIGN
                                                           : I4Q_QUANT_LINEAR;
    quant->origin = origin;
}

/* ---- all nodes */

static bool decide(struct finder *finder, struct i4q_plan_quant *quant, struct i4q_error *error)
{
    const struct i4q_node *node = quant->node;
    const Onnx__NodeProto *proto = node->proto;
    const struct i4q_value *made = i4q_sole_output(node);
    if (!finder->all || !i4q_is_fake(proto) || !made || finder->is_weight[made->index])
        return true;
    quant->reason = I4Q_REASON_FUNCTION;
    if (!node->scope->graph)
        return true;
    if (i4q_is_multi_threshold(proto)) {
        quant->fate = i4q_has_thresholds(node, quant->rank) ? I4Q_QUANT_STEPS : I4Q_QUANT_LEFT;
        quant->reason = I4Q_REASON_SHAPE;
        return true;
    }
    const struct i4q_value *source = i4q_finder_value(node, 0);
    bool is_activation = i4q_is_trunc(proto) || !source || !i4q_value_tensor(source);
    struct i4q_origin *origin = i4q_origin_of_quant(&finder->plan->facts->model->arena, node, is_activation);
    if (!origin)
        return i4q_fail_memory(error);
    if (origin->flaw)
        return i4q_fail(error, I4Q_MODEL, "%s", origin->flaw);
    if (is_activation)
        decide_activation(finder->plan, origin, quant);
    else
        decide_constant(finder, origin, quant);
    return true;
}

static bool find_weights(struct finder *finder)
{
    const struct i4q_weights *facts = finder->plan->facts;
    finder->is_weight =
        i4q_arena_alloc(&facts->model->arena, facts->model->graph.n_values, sizeof *finder->is_weight);
    for (size_t i = 0; finder->is_weight && i < facts->n_convs; i++)
        if (facts->convs[i].origin && !facts->convs[i].origin->fault)
            finder->is_weight[facts->convs[i].origin->value->index] = true;
    return finder->is_weight;
}

bool i4q_plan_quants_find(struct i4q_plan *plan, bool all, struct i4q_error *error)
{
    struct i4q_model *model = plan->facts->model;
    struct finder finder = {.plan = plan, .all = all};
    size_t count = 0;
    if (!plan->facts->import)
        return true;
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next)
        count += is_of_kin(node->proto);
    plan->quants = i4q_arena_alloc(&model->arena, count, sizeof *plan->quants);
    const int64_t *ranks = i4q_find_ranks(model);
    if (!plan->quants || !ranks || !find_weights(&finder))
        return i4q_fail_memory(error);
    finder.room = i4q_model_bytes(model) * FOLDED_RATIO + FOLDED_ROOM;
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next) {
        if (!is_of_kin(node->proto))
            continue;
        struct i4q_plan_quant *quant = &plan->quants[plan->n_quants++];
        quant->node = node;
        quant->rank = i4q_rank(ranks, i4q_input_value(node, 0));
        if (!decide(&finder, quant, error))
            return false;
    }
    return true;
}

enum i4q_quant_fate i4q_plan_quant_fate(const struct i4q_plan *plan, const struct i4q_plan_quant *quant)
{
    const struct i4q_value *made = i4q_sole_output(quant->node);
    const struct i4q_plan_weight *weight = made ? i4q_plan_weight_of(plan, made) : NULL;
    bool imported = weight && weight->recipe && weight->fact->value == made;
    return imported ? I4Q_QUANT_WEIGHT : quant->fate;
}

const struct i4q_plan_quant *i4q_plan_first_left(const struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_quants; i++)
        if (i4q_plan_quant_fate(plan, &plan->quants[i]) == I4Q_QUANT_LEFT)
            return &plan->quants[i];
    return NULL;
}

size_t i4q_plan_count_quants(const struct i4q_plan *plan, enum i4q_quant_fate fate)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->n_quants; i++)
        count += i4q_plan_quant_fate(plan, &plan->quants[i]) == fate;
    return count;
}

bool i4q_plan_changes_quants(const struct i4q_plan *plan)
{
    size_t stay = i4q_plan_count_quants(plan, I4Q_QUANT_LEFT) + i4q_plan_count_quants(plan, I4Q_QUANT_WEIGHT);
    return stay < plan->n_quants;
}

bool i4q_plan_writes(const struct i4q_plan *plan)
{
    return plan->n_stored || i4q_plan_changes_quants(plan);
}

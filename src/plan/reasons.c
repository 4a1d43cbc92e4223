// SPDX-License-Identifier: Apache-2.0
#include "plan/reasons.h"

#include "forms/convs.h"
#include "forms/origin.h"

/* ---- reasons that each Conv has by itself */

static bool is_excluded(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->choice == I4Q_EXCLUDED;
}

static bool is_not_included(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->choice == I4Q_NOT_INCLUDED;
}

/* Whether the user asks for the integers of its weight; one in a function cannot be stored. */
static bool is_imported(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    const struct i4q_origin *origin = c->conv->origin;
    bool constant = by->inputs_are_constant || !origin || !origin->reads_input;
    return by->import && origin && (c->weight ? c->weight->origin && constant : origin->fault);
}

static bool is_already_quantized(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->conv->op->integer || i4q_is_decoded(c->conv) || (c->conv->origin && !by->import);
}

static bool is_in_function(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->conv->node->scope->function != NULL;
}

static bool is_foreign(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->conv->op->is_foreign;
}

static bool is_computed(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    bool computed = c->conv->source == I4Q_SOURCE_COMPUTED || c->conv->source == I4Q_SOURCE_DECODED;
    return computed && !(c->weight && c->weight->origin);
}

/* Inputs of a body get their values from the node that holds it. */
static bool is_input(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    const struct i4q_value *weight = c->conv->weight;
    const struct i4q_origin *origin = c->conv->origin;
    bool constant = by->inputs_are_constant && weight->scope == by->main_graph;
    return c->conv->source == I4Q_SOURCE_INPUT ||
           ((weight->is_input || (origin && origin->reads_input)) && !constant);
}

static bool is_output(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->weight ? c->weight->is_output : c->conv->weight->is_output;
}

static bool is_shared_with_other_op(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->weight && c->weight->other_reader;
}

static bool is_sparse(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->conv->source == I4Q_SOURCE_SPARSE;
}

/* From here on every weight is stored. */

static bool has_other_type(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return !i4q_weight_is_quantizable(c->weight);
}

static bool has_other_shape(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    const struct i4q_conv_op *op = c->conv->op;
    size_t rank = c->weight->tensor.rank;
    return rank < op->least_rank || (op->greatest_rank && rank > op->greatest_rank);
}

static bool is_empty(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->weight->tensor.count == 0;
}

static bool is_not_asked_for(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return by->only_import;
}

static bool is_dfl(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return !c->exact && i4q_weight_is_dfl(c->weight);
}

static bool is_small(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return !c->exact && c->weight->tensor.count < by->min_weights;
}

const struct i4q_reason_row i4q_reasons[I4Q_REASONS] = {
    [I4Q_REASON_EXCLUDED] = {"excluded", "excluded by --exclude", .applies = is_excluded},
    [I4Q_REASON_NOT_INCLUDED] = {"not-included", "not among --include", .applies = is_not_included},
    [I4Q_REASON_IMPORTED] = {.applies = is_imported},
    [I4Q_REASON_SCALE_COMPUTED] = {"scale-computed", "the scale of its Quant is computed", .strict = true,
                                   .fault = I4Q_FAULT_SCALE_COMPUTED},
    [I4Q_REASON_SCALE_SHAPE] = {"scale-shape",
                                "the scale of its Quant does not fit it, or differs along more than one axis",
                                .strict = true, .fault = I4Q_FAULT_SCALE_SHAPE},
    [I4Q_REASON_SCALE_VALUE] = {"scale-value", "the scale of its Quant is not finite and positive",
                                .strict = true, .fault = I4Q_FAULT_SCALE_VALUE},
    [I4Q_REASON_ZERO_POINT] = {"zero-point",
                               "the zero point of its Quant is computed, no integer, along another axis, or "
                               "beyond 8 bits",
                               .strict = true, .fault = I4Q_FAULT_ZERO_POINT},
    [I4Q_REASON_BIT_WIDTH] = {"bit-width", "the width of its Quant is computed, or none of 1 to 8 bits",
                              .strict = true, .fault = I4Q_FAULT_BIT_WIDTH},
    [I4Q_REASON_ROUNDING] = {"rounding", "its Quant rounds in an unknown way", .strict = true,
                             .fault = I4Q_FAULT_ROUNDING},
    [I4Q_REASON_FLOAT_QUANT] = {"float-quant", "its FloatQuant makes small floats, not integers",
                                .strict = true, .fault = I4Q_FAULT_FLOAT_QUANT},
    [I4Q_REASON_ALREADY_QUANTIZED] = {"already-quantized", "its weight is quantized already",
                                      .applies = is_already_quantized},
    [I4Q_REASON_FUNCTION] = {"function", "inside a model-local function", .strict = true,
                             .applies = is_in_function},
    [I4Q_REASON_CUSTOM_CONV] = {"custom-conv",
                                "a Conv of another operator set: rewrite the model that it was made from",
                                .strict = true, .applies = is_foreign},
    [I4Q_REASON_WEIGHT_COMPUTED] = {"weight-computed", "its weight is computed by nodes", .strict = true,
                                    .fault = I4Q_FAULT_COMPUTED, .applies = is_computed},
    [I4Q_REASON_WEIGHT_IS_INPUT] = {"weight-is-input", "its weight is a graph input", .strict = true,
                                    .applies = is_input},
    [I4Q_REASON_WEIGHT_IS_OUTPUT] = {"weight-is-output", "its weight is a graph output", .strict = true,
                                     .applies = is_output},
    [I4Q_REASON_WEIGHT_SHARED_WITH_OTHER_OP] = {"weight-shared-with-other-op",
                                                "another operator reads its weight", .strict = true,
                                                .applies = is_shared_with_other_op},
    [I4Q_REASON_SPARSE] = {"sparse", "its weight is sparse", .strict = true, .applies = is_sparse},
    [I4Q_REASON_DTYPE] = {"dtype", "its weight is neither FLOAT nor FLOAT16, or its Quant not FLOAT",
                          .strict = true, .fault = I4Q_FAULT_DTYPE, .applies = has_other_type},
    [I4Q_REASON_SHAPE] = {"shape", "its weight has not the dimensions that it takes", .strict = true,
                          .applies = has_other_shape},
    [I4Q_REASON_EMPTY] = {"empty", "its weight has no elements", .strict = true, .fault = I4Q_FAULT_EMPTY,
                          .applies = is_empty},
    [I4Q_REASON_IMPORT_ONLY] = {"import-only",
                                "--import without --format or --method stores no other weights",
                                .applies = is_not_asked_for},
    [I4Q_REASON_DFL] = {"dfl", "a fixed projection 0, 1, 2, ... that needs exact values", .applies = is_dfl},
    [I4Q_REASON_SMALL] = {"small", "fewer weights than --min-weights", .kept = true, .applies = is_small},
    [I4Q_REASON_SENSITIVE] = {"sensitive", "kept by --topk", .ranked = "kept by --rank or --choices",
                              .kept = true},
    [I4Q_REASON_UNMEASURED] = {"unmeasured", "not in the --topk file",
                               .ranked = "what it loses cannot be estimated"},
    [I4Q_REASON_NON_FINITE] = {"non-finite", "a NaN or an infinity among its weights", .strict = true,
                               .fault = I4Q_FAULT_NON_FINITE},
    [I4Q_REASON_SHARED] = {"shared", "its weight is shared with a Conv that is kept"},
};

enum i4q_reason i4q_reason_of_fault(enum i4q_fault fault)
{
    enum i4q_reason r = I4Q_REASON_IMPORTED;
    while (fault && i4q_reasons[r].fault != fault)
        r++;
    return r;
}

enum i4q_reason i4q_reason_find(const struct i4q_candidate *candidate, const struct i4q_criteria *criteria)
{
    for (enum i4q_reason r = 0; r < I4Q_REASONS; r++)
        if (i4q_reasons[r].applies && i4q_reasons[r].applies(candidate, criteria))
            return r == I4Q_REASON_IMPORTED ? i4q_reason_of_fault(candidate->conv->origin->fault) : r;
    return I4Q_QUANTIZED;
}

const char *i4q_reason_meaning(enum i4q_reason reason, bool ranked)
{
    const struct i4q_reason_row *row = &i4q_reasons[reason];
    return ranked && row->ranked ? row->ranked : row->meaning;
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/reasons.h"

#include "forms/fake.h"

/* ---- reasons that each Conv has by itself */

static bool is_excluded(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->choice == I4Q_EXCLUDED;
}

static bool is_not_included(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->choice == I4Q_NOT_INCLUDED;
}

static bool is_already_quantized(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    return c->conv->op->integer || i4q_is_decoded(c->conv) || i4q_is_behind_quant(c->conv) ||
           (c->weight && i4q_is_finn_integer(c->weight));
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
    return c->conv->source == I4Q_SOURCE_COMPUTED || c->conv->source == I4Q_SOURCE_DECODED;
}

/* Inputs of a body get their values from the node that holds it. */
static bool is_input(const struct i4q_candidate *c, const struct i4q_criteria *by)
{
    const struct i4q_value *weight = c->conv->weight;
    bool constant = by->inputs_are_constant && weight->scope == by->main_graph;
    return c->conv->source == I4Q_SOURCE_INPUT || (weight->is_input && !constant);
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
    [I4Q_REASON_ALREADY_QUANTIZED] = {"already-quantized", "its weight is quantized already",
                                      .applies = is_already_quantized},
    [I4Q_REASON_FUNCTION] = {"function", "inside a model-local function", .strict = true,
                             .applies = is_in_function},
    [I4Q_REASON_CUSTOM_CONV] = {"custom-conv",
                                "a Conv of another operator set: rewrite the model that it was made from",
                                .strict = true, .applies = is_foreign},
    [I4Q_REASON_WEIGHT_COMPUTED] = {"weight-computed", "its weight is computed by nodes", .strict = true,
                                    .applies = is_computed},
    [I4Q_REASON_WEIGHT_IS_INPUT] = {"weight-is-input", "its weight is a graph input", .strict = true,
                                    .applies = is_input},
    [I4Q_REASON_WEIGHT_IS_OUTPUT] = {"weight-is-output", "its weight is a graph output", .strict = true,
                                     .applies = is_output},
    [I4Q_REASON_WEIGHT_SHARED_WITH_OTHER_OP] = {"weight-shared-with-other-op",
                                                "another operator reads its weight", .strict = true,
                                                .applies = is_shared_with_other_op},
    [I4Q_REASON_SPARSE] = {"sparse", "its weight is sparse", .strict = true, .applies = is_sparse},
    [I4Q_REASON_DTYPE] = {"dtype", "its weight is neither FLOAT nor FLOAT16", .strict = true,
                          .applies = has_other_type},
    [I4Q_REASON_SHAPE] = {"shape", "its weight has not the dimensions that it takes", .strict = true,
                          .applies = has_other_shape},
    [I4Q_REASON_EMPTY] = {"empty", "its weight has no elements", .strict = true, .applies = is_empty},
    [I4Q_REASON_DFL] = {"dfl", "a fixed projection 0, 1, 2, ... that needs exact values", .applies = is_dfl},
    [I4Q_REASON_SMALL] = {"small", "fewer weights than --min-weights", .kept = true, .applies = is_small},
    [I4Q_REASON_SENSITIVE] = {"sensitive", "kept by --topk", .ranked = "kept by --rank or --choices",
                              .kept = true},
    [I4Q_REASON_UNMEASURED] = {"unmeasured", "not in the --topk file",
                               .ranked = "what it loses cannot be estimated"},
    [I4Q_REASON_NON_FINITE] = {"non-finite", "a NaN or an infinity among its weights", .strict = true},
    [I4Q_REASON_SHARED] = {"shared", "its weight is shared with a Conv that is kept"},
};

enum i4q_reason i4q_reason_find(const struct i4q_candidate *candidate, const struct i4q_criteria *criteria)
{
    for (enum i4q_reason r = 0; r < I4Q_REASONS; r++)
        if (i4q_reasons[r].applies && i4q_reasons[r].applies(candidate, criteria))
            return r;
    return I4Q_QUANTIZED;
}

const char *i4q_reason_meaning(enum i4q_reason reason, bool ranked)
{
    const struct i4q_reason_row *row = &i4q_reasons[reason];
    return ranked && row->ranked ? row->ranked : row->meaning;
}

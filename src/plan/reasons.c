// SPDX-License-Identifier: Apache-2.0
#include "plan/reasons.h"

#include <stddef.h>

const struct i4q_reason_row i4q_reasons[I4Q_REASONS] = {
    [I4Q_REASON_EXCLUDED] = {"excluded", "excluded by --exclude"},
    [I4Q_REASON_NOT_INCLUDED] = {"not-included", "not among --include"},
    [I4Q_REASON_ALREADY_QUANTIZED] = {"already-quantized", "its weight is quantized already"},
    [I4Q_REASON_FUNCTION] = {"function", "inside a model-local function", .strict = true},
    [I4Q_REASON_WEIGHT_COMPUTED] = {"weight-computed", "its weight is computed by nodes", .strict = true},
    [I4Q_REASON_WEIGHT_IS_INPUT] = {"weight-is-input", "its weight is a graph input", .strict = true},
    [I4Q_REASON_WEIGHT_IS_OUTPUT] = {"weight-is-output", "its weight is a graph output", .strict = true},
    [I4Q_REASON_WEIGHT_SHARED_WITH_OTHER_OP] = {"weight-shared-with-other-op",
                                                "another operator reads its weight", .strict = true},
    [I4Q_REASON_SPARSE] = {"sparse", "its weight is sparse", .strict = true},
    [I4Q_REASON_DTYPE] = {"dtype", "its weight is neither FLOAT nor FLOAT16", .strict = true},
    [I4Q_REASON_SHAPE] = {"shape", "its weight has not the dimensions that it takes", .strict = true},
    [I4Q_REASON_EMPTY] = {"empty", "its weight has no elements", .strict = true},
    [I4Q_REASON_DFL] = {"dfl", "a fixed projection 0, 1, 2, ... that needs exact values"},
    [I4Q_REASON_SMALL] = {"small", "fewer weights than --min-weights"},
    [I4Q_REASON_SENSITIVE] = {"sensitive", "kept by --topk", .ranked = "kept by --rank"},
    [I4Q_REASON_UNMEASURED] = {"unmeasured", "not in the --topk file", "what it loses cannot be estimated",
                               false},
    [I4Q_REASON_NON_FINITE] = {"non-finite", "a NaN or an infinity among its weights", .strict = true},
    [I4Q_REASON_SHARED] = {"shared", "its weight is shared with a Conv that is kept"},
};

const char *i4q_reason_meaning(enum i4q_reason reason, bool ranked)
{
    const struct i4q_reason_row *row = &i4q_reasons[reason];
    return ranked && row->ranked ? row->ranked : row->meaning;
}

// SPDX-License-Identifier: Apache-2.0
/* What a plan costs: the exact size of the files that it comes to. */
#ifndef INT4Q_REWRITE_PRICE_H
#define INT4Q_REWRITE_PRICE_H

#include "plan/plan.h"

/* Where and how the result is to be written, which counts too: names and places of data stand in the file. */
struct i4q_destination {
    const char *path, *external; /* as for i4q_layout_make */
    int64_t opset;               /* as for i4q_rewrite_apply */
};

/* Bytes of all files of the result. The model is rewritten on trial and is as before in the end; nothing is
 * quantized, and payloads have sizes only. Exact where the plan knows which weights are finite. Errors are
 * those of rewriting. */
bool i4q_price(const struct i4q_plan *plan, const struct i4q_destination *to, size_t *bytes,
               struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* --decode fused (fused.h): why a Conv whose weight is stored computes in float. */
#ifndef INT4Q_PLAN_FUSED_REASONS_H
#define INT4Q_PLAN_FUSED_REASONS_H

#include "plan/plan.h"

/* Text `index`, in the order in which they are looked for; NULL behind the last. */
const char *i4q_fused_float_reason(size_t index);

/* The first that applies to the Conv, with what is known by now; NULL: none does. */
const char *i4q_fused_find_reason(const struct i4q_plan *plan, const struct i4q_plan_row *row);

#endif

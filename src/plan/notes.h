// SPDX-License-Identifier: Apache-2.0
/* What the report says beside the figures: what options could not do, and what they changed. */
#ifndef INT4Q_PLAN_NOTES_H
#define INT4Q_PLAN_NOTES_H

#include "plan/plan.h"

/* Adds the notes of a plan that is quantized. False only when memory runs out. */
bool i4q_plan_add_notes(struct i4q_plan *plan) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* "did you mean" for a pattern that matches no Conv. */
#ifndef INT4Q_PLAN_NEAR_PATTERN_H
#define INT4Q_PLAN_NEAR_PATTERN_H

#include "onnx/names.h"

/* A pattern that may have been meant: PATTERN.* or PATTERN/ * (without the blank) where that is the beginning
 * of names, as that of a module is; else the name that is nearest. *count: Convs that it matches. In the
 * arena of the index; NULL: none is near, or memory has run out. */
const char *i4q_near_pattern(const struct i4q_name_index *index, const char *pattern, size_t *count);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Sizes that come from a file are added and multiplied here and nowhere else: false on overflow. */
#ifndef INT4Q_BASE_CHECKED_H
#define INT4Q_BASE_CHECKED_H

#include "base/error.h"

#include <stddef.h>

static inline bool I4Q_MUST_CHECK i4q_add_size(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool I4Q_MUST_CHECK i4q_mul_size(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* a / b rounded up; b > 0. Cannot overflow, unlike (a + b - 1) / b. */
static inline size_t i4q_div_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

#endif

// SPDX-License-Identifier: Apache-2.0
/* IEEE 754 binary16, as FLOAT16 tensors hold it, in software: the same bits on every CPU. */
#ifndef INT4Q_BASE_HALF_H
#define INT4Q_BASE_HALF_H

#include <stdint.h>

/* Exact. A NaN stays a NaN: it becomes quiet, its payload moves to the high bits. */
float i4q_half_to_float(uint16_t half);

/* Rounds half to even; overflow gives infinity, a NaN stays a NaN. */
uint16_t i4q_half_from_float(float value);

#endif

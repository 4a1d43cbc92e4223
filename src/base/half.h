// SPDX-License-Identifier: Apache-2.0
/* IEEE 754 binary16, as FLOAT16 tensors hold it, in software: the same bits on every CPU. And numbers that
 * are either binary16 or binary32 (`half` tells), little-endian, of any alignment. */
#ifndef INT4Q_BASE_HALF_H
#define INT4Q_BASE_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exact. A NaN stays a NaN: it becomes quiet, its payload moves to the high bits. */
float i4q_half_to_float(uint16_t half);

/* Rounds half to even; overflow gives infinity, a NaN stays a NaN. */
uint16_t i4q_half_from_float(float value);

/* The smallest positive binary16 number that is not below a positive one; at most the largest. */
uint16_t i4q_half_above(float value);

/* Rounds n numbers to binary16, in place. */
void i4q_half_round(float *values, size_t n);

/* Bytes of a number, and number i of an array of them. */
size_t i4q_real_size(bool half);
float i4q_real_load(const void *numbers, bool half, size_t i);
void i4q_real_store(void *numbers, bool half, size_t i, float value);

#endif

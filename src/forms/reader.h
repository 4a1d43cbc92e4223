// SPDX-License-Identifier: Apache-2.0
/* The numbers of a stored weight: codes, scales, zero points, and the floats that they stand for. */
#ifndef INT4Q_FORMS_READER_H
#define INT4Q_FORMS_READER_H

#include "forms/codes.h"
#include "forms/numbers.h"
#include "forms/storage.h"
#include "kernels/sets.h"

struct i4q_stored {
    struct i4q_numbers codes, scale, zero_point;
    /* Element i has scale ((i / (channels * inner)) * blocks + i / inner % channels / block) * step + i %
     * inner % step; see scale_index in reader.c. */
    size_t channels, inner, block, blocks, step;
    bool half;                       /* decoded weights are FLOAT16 */
    const struct i4q_origin *origin; /* that decodes them, see origin.h: `codes` are its elements; or NULL */
};

/* Reads the payloads of a weight; the type of its codes is NULL where there are none. I4Q_MODEL: one that has
 * no possible shape or does not fit it, a scale or zero point that does not fit the codes. */
bool i4q_stored_open(struct i4q_arena *arena, const struct i4q_storage *storage, struct i4q_stored *stored,
                     struct i4q_error *error) I4Q_MUST_CHECK;

/* Whether the numbers are such that decoding makes sense: scales that are finite, and positive where
 * DequantizeLinear reads them (plain arithmetic may do with others), and zero points that are finite.
 * I4Q_MODEL: how many are not. */
bool i4q_stored_check(const struct i4q_storage *storage, const struct i4q_stored *stored,
                      struct i4q_error *error) I4Q_MUST_CHECK;

/* n <= 4096 decoded weights from element `start` on, start a multiple of 8: float(code - zero point) * scale
 * in binary32, for FLOAT16 rounded to that; floats are widened. */
void i4q_stored_decode(const struct i4q_stored *stored, const struct i4q_kernels *kernels, size_t start,
                       size_t n, float *weights);

/* The zero point of element i as a code; 0 without zero points. */
double i4q_stored_zero(const struct i4q_stored *stored, size_t i);

/* n <= 4096 codes from element `start` on, start a multiple of 8; only for integers. */
void i4q_stored_codes(const struct i4q_stored *stored, const struct i4q_kernels *kernels, size_t start,
                      size_t n, int16_t *codes);

#endif

// SPDX-License-Identifier: Apache-2.0
/* The numbers of a weight that stands for integers already, see origin.h: its codes, the values that they
 * stand for, and the format that holds them without a change of the values. */
#ifndef INT4Q_FORMS_CODES_H
#define INT4Q_FORMS_CODES_H

#include "forms/origin.h"
#include "quantize/job.h"

/* The values of n elements from `start` on, as the nodes of the model compute them, the sign of 0 included.
 */
void i4q_origin_values(const struct i4q_origin *origin, size_t start, size_t n, float *values);

/* Their codes, which are all finite. */
void i4q_origin_codes(const struct i4q_origin *origin, size_t start, size_t n, int16_t *codes);

/* Whether codes may be below 0, and the bits that then hold all of them as two's complement, else as they
 * are: those of the origin, but that -1 and 1 take 2. */
bool i4q_origin_is_signed(const struct i4q_origin *origin);
unsigned i4q_origin_width(const struct i4q_origin *origin);

/* How codes can be stored. */
struct i4q_storing {
    const struct i4q_format *format; /* NULL: there is no such type */
    bool shifted;                    /* the zero point is subtracted from the codes */
    bool asymmetric;                 /* zero points other than that of the format are stored */
};

/* The formats that codes are stored in: format `index`, NULL behind the last. */
const struct i4q_format *i4q_import_format(size_t index);

/* The first way that holds all codes, of: 4 bits as they are, as INT4 without a zero point, as UINT4; bytes
 * without a zero point, as they are. Bytes with a DequantizeLinear stay unless 4 bits hold them.
 * I4Q_FAULT_ZERO_POINT: there is none; I4Q_FAULT_NON_FINITE: an element that has no code. */
enum i4q_fault i4q_origin_choose(const struct i4q_origin *origin, struct i4q_storing *storing);

/* Fills codes, scales and zero points of a job with the shape of the origin; decoded they are the values, but
 * for the sign of 0. */
void i4q_origin_store(const struct i4q_origin *origin, bool shifted, struct i4q_quantize_job *job);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * The arithmetic of QONNX's Quant (IntQuant) and BipolarQuant, one number at a time. As their reference
 * executor has it, in binary32, in this order:
 *     y = x / scale + zero point
 *     code = y clamped to [low, high], then rounded
 *     value = (code - zero point) * scale
 * The bounds are those of `bits`, signed or not; narrow leaves out the least (signed) or the largest
 * (unsigned) code. One signed bit, which BipolarQuant is too, has the codes -1 and 1: 1 where y >= 0, neither
 * clamped nor rounded.
 */
#ifndef INT4Q_QUANTIZE_QUANT_H
#define INT4Q_QUANTIZE_QUANT_H

#include <stdbool.h>

enum i4q_quant_rounding {
    I4Q_ROUND_HALF_EVEN,
    I4Q_ROUND_CEIL,
    I4Q_ROUND_FLOOR,
    I4Q_ROUND_UP,   /* away from zero */
    I4Q_ROUND_DOWN, /* toward zero */
    I4Q_ROUND_HALF_UP,
    I4Q_ROUND_HALF_DOWN,
};

struct i4q_quant {
    unsigned bits; /* 1 to 24: codes are exact in binary32 */
    bool is_signed, narrow;
    enum i4q_quant_rounding rounding;
};

/* The mode of this name, in any case; false: there is none. ROUND is HALF_EVEN, ROUND_TO_ZERO is DOWN. */
bool i4q_quant_find_rounding(const char *name, enum i4q_quant_rounding *rounding);

/* The least and the largest code. */
void i4q_quant_range(const struct i4q_quant *quant, float *low, float *high);

/* The code of x, an integer; NaN where x is NaN (but for one signed bit: -1). scale > 0, both finite. */
float i4q_quant_code(const struct i4q_quant *quant, float x, float scale, float zero_point);

/* What the code stands for. */
float i4q_quant_value(float code, float scale, float zero_point);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "quantize/quant.h"

#include <math.h>
#include <stddef.h>
#include <strings.h>

static float up(float y)
{
    return copysignf(ceilf(fabsf(y)), y);
}

static float half_up(float y)
{
    return copysignf(floorf(fabsf(y) + 0.5f), y);
}

static float half_down(float y)
{
    return copysignf(ceilf(fabsf(y) - 0.5f), y);
}

static float (*const functions[])(float) = {
    [I4Q_ROUND_HALF_EVEN] = rintf,     [I4Q_ROUND_CEIL] = ceilf,
    [I4Q_ROUND_FLOOR] = floorf,        [I4Q_ROUND_UP] = up,
    [I4Q_ROUND_DOWN] = truncf,         [I4Q_ROUND_HALF_UP] = half_up,
    [I4Q_ROUND_HALF_DOWN] = half_down,
};

static const struct {
    const char *name;
    enum i4q_quant_rounding rounding;
} names[] = {
    {"ROUND", I4Q_ROUND_HALF_EVEN},
    {"HALF_EVEN", I4Q_ROUND_HALF_EVEN},
    {"CEIL", I4Q_ROUND_CEIL},
    {"FLOOR", I4Q_ROUND_FLOOR},
    {"UP", I4Q_ROUND_UP},
    {"DOWN", I4Q_ROUND_DOWN},
    {"HALF_UP", I4Q_ROUND_HALF_UP},
    {"HALF_DOWN", I4Q_ROUND_HALF_DOWN},
    {"ROUND_TO_ZERO", I4Q_ROUND_DOWN},
};

bool i4q_quant_find_rounding(const char *name, enum i4q_quant_rounding *rounding)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i].name, name) == 0) {
            *rounding = names[i].rounding;
            return true;
        }
    return false;
}

static bool is_bipolar(const struct i4q_quant *quant)
{
    return quant->bits == 1 && quant->is_signed;
}

void i4q_quant_range(const struct i4q_quant *quant, float *low, float *high)
{
    int levels = 1 << quant->bits, half = levels / 2, narrow = quant->narrow;
    if (is_bipolar(quant)) {
        *low = -1;
        *high = 1;
    } else if (quant->is_signed) {
        *low = (float)(narrow - half);
        *high = (float)(half - 1);
    } else {
        *low = 0;
        *high = (float)(levels - 1 - narrow);
    }
}

float i4q_quant_code(const struct i4q_quant *quant, float x, float scale, float zero_point)
{
    float low, high, y = x / scale;
    y += zero_point;
    if (is_bipolar(quant))
        return y >= 0 ? 1 : -1;
    i4q_quant_range(quant, &low, &high);
    y = y > high ? high : y < low ? low : y; /* NaN passes */
    return functions[quant->rounding](y);
}

float i4q_quant_value(float code, float scale, float zero_point)
{
    float steps = code - zero_point;
    return steps * scale;
}

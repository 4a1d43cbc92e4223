// SPDX-License-Identifier: Apache-2.0
#include "base/half.h"

#include <math.h>
#include <string.h>

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float i4q_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    if (exponent == 0x1f) /* infinity, or NaN made quiet */
        return float_of(sign | 0x7f800000 | mantissa << 13 | (mantissa ? 0x400000u : 0));
    if (exponent == 0) /* zero or subnormal: mantissa * 2^-24, which binary32 holds exactly */
        return float_of(sign | float_bits((float)mantissa * 0x1p-24f));
    return float_of(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
}

uint16_t i4q_half_from_float(float value)
{
    uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) /* 65520, halfway to what would be 2^16 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) /* below 2^-14: a multiple of 2^-24, which rintf rounds to evenly */
        return (uint16_t)(sign | (uint32_t)rintf(fabsf(value) * 0x1p24f));
    /* The 13 bits that go are rounded half to even; a carry moves on into the exponent, as it should. */
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((rounded >> 13) - ((127 - 15) << 10)));
}

uint16_t i4q_half_above(float value)
{
    const uint16_t largest = 0x7bff;
    uint16_t half = i4q_half_from_float(value);
    half = (uint16_t)(half + (i4q_half_to_float(half) < value));
    return half > largest ? largest : half;
}

void i4q_half_round(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = i4q_half_to_float(i4q_half_from_float(values[i]));
}

size_t i4q_real_size(bool half)
{
    return half ? sizeof(uint16_t) : sizeof(float);
}

float i4q_real_load(const void *numbers, bool half, size_t i)
{
    uint16_t narrow;
    float wide;
    if (!half) {
        memcpy(&wide, (const char *)numbers + i * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, (const char *)numbers + i * sizeof narrow, sizeof narrow);
    return i4q_half_to_float(narrow);
}

void i4q_real_store(void *numbers, bool half, size_t i, float value)
{
    uint16_t narrow = i4q_half_from_float(value);
    size_t size = i4q_real_size(half);
    memcpy((char *)numbers + i * size, half ? (const void *)&narrow : &value, size);
}

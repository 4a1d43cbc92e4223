// SPDX-License-Identifier: Apache-2.0
/* The definition of every kernel. Written for clearness; what the other sets must reproduce bit for bit. */
#include "kernels/quantize_impl.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

static float load(const void *source, size_t i)
{
    float value;
    memcpy(&value, (const char *)source + i * sizeof value, sizeof value);
    return value;
}

static float absmax(const void *weights, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(load(weights, i));
        /* Written so that a NaN, once met, is kept. */
        if (!(magnitude <= largest) && !isnan(largest))
            largest = magnitude;
    }
    return largest;
}

static void range(const void *weights, size_t n, float *min, float *max)
{
    *min = *max = 0;
    for (size_t i = 0; i < n; i++) {
        float weight = load(weights, i);
        if (weight < *min)
            *min = weight;
        if (weight > *max)
            *max = weight;
    }
}

/* ---- codes */

static int encode(float weight, const struct i4q_grid *grid)
{
    float low = (float)(grid->low - grid->zero), high = (float)(grid->high - grid->zero);
    float steps = rintf(weight / grid->scale);
    return (int)(steps > high ? high : steps < low ? low : steps) + grid->zero;
}

static float decode(int code, int zero, float scale)
{
    return (float)(code - zero) * scale;
}

static void quantize(const void *weights, size_t n, const struct i4q_grid *grid, int8_t *codes)
{
    for (size_t i = 0; i < n; i++)
        codes[i] = (int8_t)encode(load(weights, i), grid);
}

static void pack4(const int8_t *codes, size_t n, uint8_t *packed)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        packed[i / 2] = (uint8_t)((codes[i] & 15) | (codes[i + 1] & 15) << 4);
    if (n % 2)
        packed[n / 2] = (uint8_t)(codes[n - 1] & 15);
}

static void unpack4(const void *packed, size_t n, int8_t *codes)
{
    const uint8_t *bytes = packed;
    for (size_t i = 0; i < n; i++) {
        int nibble = bytes[i / 2] >> 4 * (i % 2) & 15;
        codes[i] = (int8_t)((nibble ^ 8) - 8);
    }
}

static void pack(const int8_t *codes, size_t n, unsigned bits, uint8_t *packed)
{
    unsigned held = 0, filled = 0;
    for (size_t i = 0; i < n; i++) {
        held |= ((uint8_t)codes[i] & ((1u << bits) - 1)) << filled;
        filled += bits;
        if (filled >= 8) {
            *packed++ = (uint8_t)held;
            held >>= 8;
            filled -= 8;
        }
    }
    if (filled)
        *packed = (uint8_t)held;
}

static void unpack(const void *packed, size_t n, unsigned bits, int8_t *codes)
{
    const uint8_t *bytes = packed;
    unsigned held = 0, filled = 0, sign = 1u << (bits - 1);
    for (size_t i = 0; i < n; i++) {
        if (filled < bits) {
            held |= (unsigned)*bytes++ << filled;
            filled += 8;
        }
        codes[i] = (int8_t)((int)((held & (2 * sign - 1)) ^ sign) - (int)sign);
        held >>= bits;
        filled -= bits;
    }
}

static void dequantize(const int8_t *codes, size_t n, float scale, int zero, float *weights)
{
    for (size_t i = 0; i < n; i++)
        weights[i] = decode(codes[i], zero, scale);
}

/* ---- errors */

static void add_error(struct i4q_lanes *lanes, size_t i, float weight, float decoded, float unit)
{
    float error = weight - decoded, signal = weight * unit, noise = error * unit;
    lanes->signal[i % I4Q_LANES] += signal * signal;
    lanes->noise[i % I4Q_LANES] += noise * noise;
    lanes->drift[i % I4Q_LANES] += noise;
    if (fabsf(error) > lanes->max_error)
        lanes->max_error = fabsf(error);
}

/* The sum of all lanes, half to half: short chains of additions. */
static double fold(const float *lanes)
{
    double sums[I4Q_LANES];
    for (int i = 0; i < I4Q_LANES; i++)
        sums[i] = (double)lanes[i];
    for (int half = I4Q_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}

void i4q_lanes_add(const struct i4q_lanes *lanes, float unit, struct i4q_error_sums *sums)
{
    double inverse = 1 / (double)unit;
    sums->signal += fold(lanes->signal) * inverse * inverse;
    sums->noise += fold(lanes->noise) * inverse * inverse;
    sums->drift += fold(lanes->drift) * inverse;
    if (lanes->max_error > sums->max_error)
        sums->max_error = lanes->max_error;
}

void i4q_scalar_measure(const void *weights, const float *decoded, size_t n, float unit,
                        struct i4q_lanes *lanes)
{
    for (size_t i = 0; i < n; i++)
        add_error(lanes, i, load(weights, i), decoded[i], unit);
}

static void measure(const void *weights, const float *decoded, size_t n, float unit,
                    struct i4q_error_sums *sums)
{
    struct i4q_lanes lanes = {0};
    i4q_scalar_measure(weights, decoded, n, unit, &lanes);
    i4q_lanes_add(&lanes, unit, sums);
}

static void encode4(const void *weights, size_t n, const struct i4q_grid *grid, uint8_t *packed,
                    struct i4q_error_sums *sums)
{
    struct i4q_lanes lanes = {0};
    for (size_t i = 0; i < n; i++) {
        float weight = load(weights, i);
        int code = encode(weight, grid);
        add_error(&lanes, i, weight, decode(code, grid->zero, grid->scale), 1);
        if (i % 2)
            packed[i / 2] |= (uint8_t)((code & 15) << 4);
        else
            packed[i / 2] = (uint8_t)(code & 15);
    }
    i4q_lanes_add(&lanes, 1, sums);
}

static void combine(double *y, size_t n, const double *rows, size_t row_stride, const double *factors,
                    size_t factor_stride, size_t terms)
{
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < terms; t++)
            y[i] -= factors[t * factor_stride] * rows[t * row_stride + i];
}

static void widen16(const void *halves, size_t n, float *weights)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, (const char *)halves + i * sizeof half, sizeof half);
        weights[i] = i4q_half_to_float(half);
    }
}

const struct i4q_kernels i4q_kernels_scalar = {
    .name = "scalar",
    .absmax = absmax,
    .range = range,
    .quantize = quantize,
    .encode4 = encode4,
    .pack4 = pack4,
    .unpack4 = unpack4,
    .pack = pack,
    .unpack = unpack,
    .dequantize = dequantize,
    .measure = measure,
    .combine = combine,
    .widen16 = widen16,
};

// SPDX-License-Identifier: Apache-2.0
/* The definition of every kernel. Written for clearness; what the other sets must reproduce bit for bit. */
#include "kernels_impl.h"

#include "int4q/half.h"

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

static void quantize(const void *weights, size_t n, float scale, int qmax, int8_t *codes)
{
    float limit = (float)qmax;
    for (size_t i = 0; i < n; i++) {
        float code = rintf(load(weights, i) / scale);
        codes[i] = (int8_t)(code > limit ? limit : code < -limit ? -limit : code);
    }
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

static void dequantize(const int8_t *codes, size_t n, float scale, int zero, float *weights)
{
    for (size_t i = 0; i < n; i++)
        weights[i] = (float)(codes[i] - zero) * scale;
}

static void measure(const void *weights, const float *decoded, size_t n, struct i4q_error_sums *sums)
{
    for (size_t i = 0; i < n; i++) {
        float weight = load(weights, i), error = fabsf(weight - decoded[i]);
        double wide = weight, difference = wide - decoded[i];
        sums->signal[i % I4Q_LANES] += wide * wide;
        sums->noise[i % I4Q_LANES] += difference * difference;
        if (error > sums->max_error)
            sums->max_error = error;
    }
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
    .quantize = quantize,
    .pack4 = pack4,
    .unpack4 = unpack4,
    .dequantize = dequantize,
    .measure = measure,
    .widen16 = widen16,
};

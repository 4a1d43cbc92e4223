// SPDX-License-Identifier: Apache-2.0
/*
 * The vector kernels, written once in the vector types of GCC and Clang. A kernel file defines, for its
 * instruction set, what those types cannot say, then includes this file and lists the result:
 *
 *   WIDTH                       floats in a register
 *   floats, ints                registers of WIDTH binary32 and int32_t
 *   FLOATS_MIN, FLOATS_MAX, INTS_MAX (a, b)
 *   put_bytes(r, out)           the low bytes of 16 ints, as 16 bytes; r: 16 / WIDTH registers
 *   put_nibbles(r, out)         the low nibbles of 16 ints, as 8 bytes, even index low
 *   get_bytes(in)               WIDTH signed bytes as ints
 *   pack_codes(in, out)         32 bytes → 16 bytes of their low nibbles, even index low
 *   unpack_codes(in, out)       16 bytes → 32 bytes, each nibble sign-extended
 *   widen(in)                   WIDTH binary16 numbers as floats
 *
 * Every kernel does whole groups of 16 elements, or 32, and leaves the tail to the scalar definition.
 */
#include "kernels_impl.h"

#include <string.h>

enum { GROUP = I4Q_LANES, REGISTERS = GROUP / WIDTH, CODES = 32 };

static const struct i4q_kernels *const tail = &i4q_kernels_scalar;

/* 1.5 * 2^23. Adding it to |x| <= 2^22 rounds x to an integer, half to even, and leaves that integer in the
 * low bits. The codes of a grid are far smaller, once they are clamped. */
static const float ROUNDER = 0x1.8p23f;

static const char *at(const void *source, size_t i)
{
    return (const char *)source + i * sizeof(float);
}

static floats load(const void *source)
{
    floats x;
    memcpy(&x, source, sizeof x);
    return x;
}

/* Elements that follow are likely to be read next, so they come into the cache while there is something to
 * compute. A hint only, which does no harm where nothing is mapped. */
static void prefetch(const void *source, size_t i)
{
    __builtin_prefetch((const void *)((uintptr_t)source + i * sizeof(float)));
}

static floats magnitude(floats x)
{
    return (floats)((ints)x & 0x7fffffff);
}

static float largest_of(floats x, float start)
{
    for (int i = 0; i < WIDTH; i++)
        start = x[i] > start ? x[i] : start;
    return start;
}

/* Compared as integers: without their sign, binary32 numbers order like their bits, infinity above the finite
 * ones and NaN above infinity, so neither can get lost. */
static float absmax(const void *weights, size_t n)
{
    ints lanes[4] = {{0}};
    size_t i = 0;
    for (; i + 4 * WIDTH <= n; i += 4 * WIDTH)
        for (int r = 0; r < 4; r++) /* four chains hide the latency */
            lanes[r] = INTS_MAX(lanes[r], (ints)magnitude(load(at(weights, i + (size_t)r * WIDTH))));
    ints most = INTS_MAX(INTS_MAX(lanes[0], lanes[1]), INTS_MAX(lanes[2], lanes[3]));
    float rest = tail->absmax(at(weights, i), n - i), result;
    int32_t largest;
    memcpy(&largest, &rest, sizeof largest);
    for (int lane = 0; lane < WIDTH; lane++)
        largest = most[lane] > largest ? most[lane] : largest;
    memcpy(&result, &largest, sizeof result);
    return result;
}

static void range(const void *weights, size_t n, float *min, float *max)
{
    floats least[2] = {{0}}, most[2] = {{0}};
    size_t i = 0;
    for (; i + 2 * WIDTH <= n; i += 2 * WIDTH)
        for (int r = 0; r < 2; r++) {
            floats x = load(at(weights, i + (size_t)r * WIDTH));
            least[r] = FLOATS_MIN(x, least[r]);
            most[r] = FLOATS_MAX(x, most[r]);
        }
    tail->range(at(weights, i), n - i, min, max);
    *max = largest_of(FLOATS_MAX(most[0], most[1]), *max);
    *min = -largest_of(-FLOATS_MIN(least[0], least[1]), -*min) + 0.0f; /* + 0: no zero with a sign */
}

/* ---- codes */

/* A grid, spread over registers. */
struct spread {
    floats scale, low, high;
    ints bias; /* from the bits of a rounded number to its code */
};

static struct spread spread(const struct i4q_grid *grid)
{
    const floats zeros = {0};
    int32_t rounder;
    memcpy(&rounder, &ROUNDER, sizeof rounder);
    return (struct spread){
        .scale = zeros + grid->scale,
        .low = zeros + (float)(grid->low - grid->zero),
        .high = zeros + (float)(grid->high - grid->zero),
        .bias = (ints)zeros + (grid->zero - rounder),
    };
}

/* Steps from the zero point, + ROUNDER. Clamping first gives the same as rounding first: the bounds are
 * integers. */
static floats round_to_steps(floats weights, const struct spread *grid)
{
    return FLOATS_MAX(FLOATS_MIN(weights / grid->scale, grid->high), grid->low) + ROUNDER;
}

static void quantize(const void *weights, size_t n, const struct i4q_grid *grid, int8_t *codes)
{
    const struct spread wide = spread(grid);
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP) {
        ints group[REGISTERS];
        for (int r = 0; r < REGISTERS; r++)
            group[r] = (ints)round_to_steps(load(at(weights, i + (size_t)r * WIDTH)), &wide) + wide.bias;
        put_bytes(group, codes + i);
    }
    tail->quantize(at(weights, i), n - i, grid, codes + i);
}

static void pack4(const int8_t *codes, size_t n, uint8_t *packed)
{
    size_t i = 0;
    for (; i + CODES <= n; i += CODES)
        pack_codes(codes + i, packed + i / 2);
    tail->pack4(codes + i, n - i, packed + i / 2);
}

static void unpack4(const void *packed, size_t n, int8_t *codes)
{
    const uint8_t *bytes = packed;
    size_t i = 0;
    for (; i + CODES <= n; i += CODES)
        unpack_codes(bytes + i / 2, codes + i);
    tail->unpack4(bytes + i / 2, n - i, codes + i);
}

static void dequantize(const int8_t *codes, size_t n, float scale, int zero, float *weights)
{
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        floats decoded = __builtin_convertvector(get_bytes(codes + i) - zero, floats) * scale;
        memcpy(weights + i, &decoded, sizeof decoded);
    }
    tail->dequantize(codes + i, n - i, scale, zero, weights + i);
}

/* ---- errors */

/* struct i4q_lanes in registers. */
struct sums {
    floats signal[REGISTERS], noise[REGISTERS], drift[REGISTERS], max_error;
};

static void add_errors(struct sums *sums, int r, floats weights, floats decoded, float unit)
{
    floats error = weights - decoded, signal = weights * unit, noise = error * unit;
    sums->signal[r] += signal * signal;
    sums->noise[r] += noise * noise;
    sums->drift[r] += noise;
    sums->max_error = FLOATS_MAX(magnitude(error), sums->max_error);
}

static void store_sums(const struct sums *sums, struct i4q_lanes *lanes)
{
    memcpy(lanes->signal, sums->signal, sizeof sums->signal);
    memcpy(lanes->noise, sums->noise, sizeof sums->noise);
    memcpy(lanes->drift, sums->drift, sizeof sums->drift);
    lanes->max_error = largest_of(sums->max_error, 0);
}

static void measure(const void *weights, const float *decoded, size_t n, float unit,
                    struct i4q_error_sums *total)
{
    struct sums sums = {0};
    struct i4q_lanes lanes;
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP)
        for (int r = 0; r < REGISTERS; r++) {
            size_t first = i + (size_t)r * WIDTH;
            add_errors(&sums, r, load(at(weights, first)), load(decoded + first), unit);
        }
    store_sums(&sums, &lanes);
    i4q_scalar_measure(at(weights, i), decoded + i, n - i, unit, &lanes);
    i4q_lanes_add(&lanes, unit, total);
}

static void encode4(const void *weights, size_t n, const struct i4q_grid *grid, float unit, uint8_t *packed,
                    struct i4q_error_sums *total)
{
    const struct spread wide = spread(grid);
    struct sums sums = {0};
    struct i4q_lanes lanes;
    size_t i = 0;
    for (; i + GROUP <= n; i += GROUP) {
        ints group[REGISTERS];
        prefetch(weights, i + n);
        for (int r = 0; r < REGISTERS; r++) {
            floats w = load(at(weights, i + (size_t)r * WIDTH)), steps = round_to_steps(w, &wide);
            group[r] = (ints)steps + wide.bias;
            add_errors(&sums, r, w, (steps - ROUNDER) * wide.scale, unit);
        }
        put_nibbles(group, packed + i / 2);
    }
    store_sums(&sums, &lanes);
    i4q_scalar_encode4(at(weights, i), n - i, grid, unit, packed + i / 2, &lanes);
    i4q_lanes_add(&lanes, unit, total);
}

/* ---- sums of rows */

typedef double doubles __attribute__((vector_size(WIDTH * sizeof(float))));

enum { DOUBLES = WIDTH / 2, TILE = 4 * DOUBLES };

/* A tile stays in registers while all rows pass. */
static void combine_tile(double *y, const double *rows, size_t row_stride, const double *factors,
                         size_t factor_stride, size_t terms)
{
    doubles a, b, c, d, row;
    memcpy(&a, y, sizeof a);
    memcpy(&b, y + DOUBLES, sizeof b);
    memcpy(&c, y + 2 * DOUBLES, sizeof c);
    memcpy(&d, y + 3 * DOUBLES, sizeof d);
    for (; terms > 0; terms--, rows += row_stride, factors += factor_stride) {
        memcpy(&row, rows, sizeof row);
        a -= row * *factors;
        memcpy(&row, rows + DOUBLES, sizeof row);
        b -= row * *factors;
        memcpy(&row, rows + 2 * DOUBLES, sizeof row);
        c -= row * *factors;
        memcpy(&row, rows + 3 * DOUBLES, sizeof row);
        d -= row * *factors;
    }
    memcpy(y, &a, sizeof a);
    memcpy(y + DOUBLES, &b, sizeof b);
    memcpy(y + 2 * DOUBLES, &c, sizeof c);
    memcpy(y + 3 * DOUBLES, &d, sizeof d);
}

static void combine_register(double *y, const double *rows, size_t row_stride, const double *factors,
                             size_t factor_stride, size_t terms)
{
    doubles a, row;
    memcpy(&a, y, sizeof a);
    for (; terms > 0; terms--, rows += row_stride, factors += factor_stride) {
        memcpy(&row, rows, sizeof row);
        a -= row * *factors;
    }
    memcpy(y, &a, sizeof a);
}

static void combine(double *y, size_t n, const double *rows, size_t row_stride, const double *factors,
                    size_t factor_stride, size_t terms)
{
    size_t i = 0;
    for (; i + TILE <= n; i += TILE)
        combine_tile(y + i, rows + i, row_stride, factors, factor_stride, terms);
    for (; i + DOUBLES <= n; i += DOUBLES)
        combine_register(y + i, rows + i, row_stride, factors, factor_stride, terms);
    tail->combine(y + i, n - i, rows + i, row_stride, factors, factor_stride, terms);
}

static void widen16(const void *halves, size_t n, float *weights)
{
    const char *bytes = halves;
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        floats wide = widen(bytes + 2 * i);
        memcpy(weights + i, &wide, sizeof wide);
    }
    tail->widen16(bytes + 2 * i, n - i, weights + i);
}

#define I4Q_VECTOR_KERNELS                                                                                   \
    .absmax = absmax, .range = range, .quantize = quantize, .encode4 = encode4, .pack4 = pack4,              \
    .unpack4 = unpack4, .dequantize = dequantize, .measure = measure, .combine = combine, .widen16 = widen16

// SPDX-License-Identifier: Apache-2.0
/*
 * The vector kernels, written once in the vector types of GCC and Clang. A kernel file defines, for its
 * instruction set, what those types cannot say, then includes this file and lists the result:
 *
 *   WIDTH                       floats in a register
 *   floats, ints, bytes         registers of WIDTH binary32, WIDTH int32_t and 4 * WIDTH uint8_t
 *   FLOATS_MIN, FLOATS_MAX, INTS_MAX (a, b)
 *   larger_magnitude(a, b)      the larger one of |a| and |b|
 *   NEAREST(x)                  floats as ints, half to even; what no int32_t can hold gives its least or
 *                               its largest, whichever
 *   FLOATS_ANY_ABOVE, BYTES_ANY_ABOVE (a, b)
 *                               whether an element of a is greater than that of b
 *   narrow(r)                   4 registers of ints as signed bytes, in their order, saturating
 *   get_bytes(in)               WIDTH signed bytes as ints
 *   put_nibbles(b, out)         the low nibbles of a register of bytes, as 2 * WIDTH bytes, even index low
 *   unpack_codes(in, out)       16 bytes → 32 bytes, each nibble sign-extended
 *   SHUFFLE(x, order)           the bytes of each lane of 16 in the order that the bytes of `order` name; 0
 * for 0x80 widen(in)                   WIDTH binary16 numbers as floats
 *
 * Kernels do as many elements as fill registers, and leave the rest to the scalar definition, or fill it up
 * with zeros where it would take too long.
 */
#include "kernels/quantize_impl.h"

#include <stdbool.h>
#include <string.h>

enum { GROUP = I4Q_LANES, REGISTERS = GROUP / WIDTH, BATCH = 4 * WIDTH, CODES = 32, LINE = 16 };

static const struct i4q_kernels *const tail = &i4q_kernels_scalar;

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
 * ones and NaN above infinity, so neither can get lost. The last register may overlap the one before. */
static float absmax(const void *weights, size_t n)
{
    ints lanes[4] = {{0}};
    size_t i = 0;
    if (n < WIDTH)
        return tail->absmax(weights, n);
    for (; i + BATCH <= n; i += BATCH)
        for (size_t r = 0; r < 4; r++) /* four chains hide the latency */
            lanes[r] = INTS_MAX(lanes[r], (ints)magnitude(load(at(weights, i + r * WIDTH))));
    for (; i < n; i += WIDTH)
        lanes[0] = INTS_MAX(lanes[0], (ints)magnitude(load(at(weights, i + WIDTH <= n ? i : n - WIDTH))));
    ints most = INTS_MAX(INTS_MAX(lanes[0], lanes[1]), INTS_MAX(lanes[2], lanes[3]));
    int32_t largest = 0;
    float result;
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
        for (size_t r = 0; r < 2; r++) {
            floats x = load(at(weights, i + r * WIDTH));
            least[r] = FLOATS_MIN(x, least[r]);
            most[r] = FLOATS_MAX(x, most[r]);
        }
    tail->range(at(weights, i), n - i, min, max);
    *max = largest_of(FLOATS_MAX(most[0], most[1]), *max);
    *min = -largest_of(-FLOATS_MIN(least[0], least[1]), -*min) + 0.0f; /* + 0: no zero with a sign */
}

/* ---- codes */

/* A grid, spread over registers: its bounds in steps from the zero point. */
struct spread {
    floats scale, low, high;
    ints zero;
};

static struct spread spread(const struct i4q_grid *grid)
{
    return (struct spread){
        .scale = (floats){0} + grid->scale,
        .low = (floats){0} + (float)(grid->low - grid->zero),
        .high = (floats){0} + (float)(grid->high - grid->zero),
        .zero = (ints){0} + grid->zero,
    };
}

/* Steps from the zero point, as they are defined. Clamping first gives the same as rounding first: the bounds
 * are integers. */
static ints divide(floats weights, const struct spread *grid)
{
    return NEAREST(FLOATS_MAX(FLOATS_MIN(weights / grid->scale, grid->high), grid->low));
}

static bytes quantize_batch(const void *weights, const struct spread *grid)
{
    ints codes[4];
    for (size_t r = 0; r < 4; r++)
        codes[r] = divide(load(at(weights, r * WIDTH)), grid) + grid->zero;
    return narrow(codes);
}

/* The last n < BATCH elements, zeros behind them. */
static void load_rest(const void *weights, size_t n, float *batch)
{
    memset(batch, 0, BATCH * sizeof *batch);
    memcpy(batch, weights, n * sizeof *batch);
}

static void quantize(const void *weights, size_t n, const struct i4q_grid *grid, int8_t *codes)
{
    const struct spread wide = spread(grid);
    float rest[BATCH];
    bytes batch;
    size_t i = 0;
    for (; i + BATCH <= n; i += BATCH) {
        batch = quantize_batch(at(weights, i), &wide);
        memcpy(codes + i, &batch, sizeof batch);
    }
    if (i == n)
        return;
    load_rest(at(weights, i), n - i, rest);
    batch = quantize_batch(rest, &wide);
    memcpy(codes + i, &batch, n - i);
}

static void pack4(const int8_t *codes, size_t n, uint8_t *packed)
{
    size_t i = 0;
    for (; i + BATCH <= n; i += BATCH) {
        bytes batch;
        memcpy(&batch, codes + i, sizeof batch);
        put_nibbles(batch, packed + i / 2);
    }
    tail->pack4(codes + i, n - i, packed + i / 2);
}

static void unpack4(const void *packed, size_t n, int8_t *codes)
{
    const uint8_t *source = packed;
    size_t i = 0;
    for (; i + CODES <= n; i += CODES)
        unpack_codes(source + i / 2, codes + i);
    tail->unpack4(source + i / 2, n - i, codes + i);
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

#include "kernels/quantize_stream.h"

/* ---- errors */

/* struct i4q_lanes in registers. */
struct sums {
    floats signal[REGISTERS], noise[REGISTERS], drift[REGISTERS], max_error;
};

static void add_errors(struct sums *sums, size_t r, floats weights, floats errors)
{
    sums->signal[r] += weights * weights;
    sums->noise[r] += errors * errors;
    sums->drift[r] += errors;
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
        for (size_t r = 0; r < REGISTERS; r++) {
            size_t first = i + r * WIDTH;
            floats w = load(at(weights, first)), error = w - load(decoded + first);
            add_errors(&sums, r, w * unit, error * unit);
            sums.max_error = larger_magnitude(error, sums.max_error);
        }
    store_sums(&sums, &lanes);
    i4q_scalar_measure(at(weights, i), decoded + i, n - i, unit, &lanes);
    i4q_lanes_add(&lanes, unit, total);
}

/* ---- codes and errors in one pass */

/* What turns a batch of weights into nibbles, where the scale is as i4q_encode4_takes() wants it. */
struct encoder {
    struct spread grid;
    floats reciprocal, sure;
    bytes low, span, least; /* least step; number of steps above it; least code */
};

/*
 * A product with the reciprocal r of the scale s takes a fraction of the time of a division, and gives the
 * same code but for weights that lie next to halfway between two steps. Which these are is seen from the
 * error of the product's code k, which is needed anyway. With Q = w / s and u = 2^-24:
 *
 * The product is Q (1 + a) (1 + b), the quotient Q (1 + c), with |a|, |b|, |c| <= u: r and s are normal, and
 * where Q is so small that products are not, both round to 0. If their nearest integers differ, there is a
 * half-integer between them, at most |Q| (2 u + u^2) away from Q, so that |Q - k| >= 1/2 - 2.1 u |Q|.
 * Computed as the error is e = (w - k s (1 + d)) (1 + f) with |d|, |f| <= u, hence
 * |e| >= s (1 - u) (1/2 - 2.1 u |Q| - u |k|). For the at most 15 steps of 4 bits, |k| <= 15 and |Q| < 16,
 * that is more than s (1/2 - 50 u).
 *
 * Below s (1/2 - 64 u) = s (1/2 - 2^-18) the code is therefore that of the quotient, if it needs no clamping
 * either. A batch with a weight for which this does not hold, one of some thousands, is done again by
 * division.
 */
static struct encoder make_encoder(const struct i4q_grid *grid)
{
    return (struct encoder){
        .grid = spread(grid),
        .reciprocal = (floats){0} + 1 / grid->scale,
        .sure = (floats){0} + (0.5f - 0x1p-18f) * grid->scale,
        .low = (bytes){0} + (uint8_t)(grid->low - grid->zero),
        .span = (bytes){0} + (uint8_t)(grid->high - grid->low),
        .least = (bytes){0} + (uint8_t)grid->low,
    };
}

static floats error_of(floats weights, ints steps, const struct encoder *encoder)
{
    return weights - __builtin_convertvector(steps, floats) * encoder->grid.scale;
}

static floats largest_magnitude(const floats *r)
{
    return larger_magnitude(larger_magnitude(r[0], r[1]), larger_magnitude(r[2], r[3]));
}

/* The steps of a batch and their errors; the largest of these. */
static floats multiply_batch(const void *weights, const struct encoder *encoder, ints *steps, floats *errors)
{
    for (size_t r = 0; r < 4; r++) {
        floats w = load(at(weights, r * WIDTH));
        steps[r] = NEAREST(w * encoder->reciprocal);
        errors[r] = error_of(w, steps[r], encoder);
    }
    return largest_magnitude(errors);
}

static floats divide_batch(const void *weights, const struct encoder *encoder, ints *steps, floats *errors)
{
    for (size_t r = 0; r < 4; r++) {
        floats w = load(at(weights, r * WIDTH));
        steps[r] = divide(w, &encoder->grid);
        errors[r] = error_of(w, steps[r], encoder);
    }
    return largest_magnitude(errors);
}

static void encode_batches(const void *weights, size_t count, const struct encoder *encoder, size_t ahead,
                           uint8_t *packed, struct sums *total)
{
    struct sums sums = *total;
    for (; count > 0; count--, weights = at(weights, BATCH), packed += BATCH / 2) {
        ints steps[4];
        floats errors[4], largest = multiply_batch(weights, encoder, steps, errors);
        bytes codes = narrow(steps) - encoder->low; /* from 0, if not clamped; else outside, also mod 256 */
        for (size_t line = 0; line < BATCH; line += LINE)
            prefetch(weights, ahead + line);
        if (FLOATS_ANY_ABOVE(largest, encoder->sure) || BYTES_ANY_ABOVE(codes, encoder->span)) {
            largest = divide_batch(weights, encoder, steps, errors);
            codes = narrow(steps) - encoder->low;
        }
        put_nibbles(codes + encoder->least, packed);
        for (size_t r = 0; r < 4; r++)
            add_errors(&sums, r % REGISTERS, load(at(weights, r * WIDTH)), errors[r]);
        sums.max_error = FLOATS_MAX(largest, sums.max_error);
    }
    *total = sums;
}

/* Zeros that fill up a batch have no error, and add nothing. */
static void encode_rest(const void *weights, size_t n, const struct encoder *encoder, uint8_t *packed,
                        struct sums *sums)
{
    float rest[BATCH];
    uint8_t nibbles[BATCH / 2];
    load_rest(weights, n, rest);
    encode_batches(rest, 1, encoder, 0, nibbles, sums);
    memcpy(packed, nibbles, (n + 1) / 2);
    if (n % 2)
        packed[n / 2] &= 15;
}

static void encode4(const void *weights, size_t n, const struct i4q_grid *grid, uint8_t *packed,
                    struct i4q_error_sums *total)
{
    const struct encoder encoder = make_encoder(grid);
    struct sums sums = {0};
    struct i4q_lanes lanes;
    size_t whole = n / BATCH, i = whole * BATCH;
    encode_batches(weights, whole, &encoder, n, packed, &sums);
    if (i < n)
        encode_rest(at(weights, i), n - i, &encoder, packed + i / 2, &sums);
    store_sums(&sums, &lanes);
    i4q_lanes_add(&lanes, 1, total);
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
    const char *source = halves;
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        floats wide = widen(source + 2 * i);
        memcpy(weights + i, &wide, sizeof wide);
    }
    tail->widen16(source + 2 * i, n - i, weights + i);
}

#define I4Q_VECTOR_KERNELS                                                                                   \
    .absmax = absmax, .range = range, .quantize = quantize, .encode4 = encode4, .pack4 = pack4,              \
    .unpack4 = unpack4, .pack = pack, .unpack = unpack, .dequantize = dequantize, .measure = measure,        \
    .combine = combine, .widen16 = widen16

// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense_impl.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROWS = I4Q_DENSE_ROWS,
    HALF = I4Q_DENSE_STEP / 2,             /* bytes of a step */
    MOST_IN_RUN = INT16_MAX / UINT8_MAX,   /* sum of weights of one sign, in one place of a sum */
    SHORTEST_RUN = MOST_IN_RUN / (2 * 15), /* two digits a step */
};

/* ---- what there is, and where it lies */

struct packer {
    struct i4q_conv *conv;
    const void *codes;
    struct i4q_dense_packed *packed;
    int16_t *rows; /* weights of a tile's outputs: ROWS × K */
    int8_t *tile;  /* decoded */
};

/* A weight of 0 as it is held; what is held of others is that much more than they are. */
static int zero_code(const struct i4q_conv *conv, size_t o)
{
    int low = conv->is_signed ? -(1 << (conv->bits - 1)) : 0;
    return conv->blocks == 1 ? conv->zeros[o] - low : 128;
}

static bool fits_byte(const struct i4q_conv *conv)
{
    for (size_t o = 0; conv->blocks == 1 && o < conv->shape.outputs; o++) {
        int low = -zero_code(conv, o), high = low + (1 << conv->bits) - 1;
        if (low < INT8_MIN || high > INT8_MAX)
            return false;
    }
    return true;
}

/* Whether a step of any weights can be a run. */
static bool pairs_fit(const struct i4q_conv *conv)
{
    return conv->blocks == 1 && 2 * ((1 << conv->bits) - 1) <= MOST_IN_RUN;
}

/* ---- nibbles */

/* The output of a row of a tile; SIZE_MAX: none. */
static size_t output_of(const struct packer *packer, size_t tile, size_t row)
{
    const struct i4q_conv_shape *shape = &packer->conv->shape;
    size_t group = tile / packer->packed->group_tiles, outputs = shape->outputs / shape->groups;
    size_t o = tile % packer->packed->group_tiles * ROWS + row;
    return o < outputs ? group * outputs + o : SIZE_MAX;
}

static void read_rows(const struct packer *packer, size_t tile)
{
    size_t weights = packer->conv->weights;
    for (size_t row = 0; row < ROWS; row++) {
        size_t o = output_of(packer, tile, row);
        int16_t *target = packer->rows + row * weights;
        if (o == SIZE_MAX) {
            memset(target, 0, weights * sizeof *target);
            continue;
        }
        i4q_conv_row(packer->conv, packer->codes, o, target);
        packer->packed->sums[o] = 0;
        for (size_t k = 0; k < weights; k++)
            packer->packed->sums[o] += target[k];
    }
}

/* One digit of a row of a tile: `weights` of an output, `zero` more than they are. Behind the last channel
 * they are 0. `nibbles`: the row's in the first step. */
static void pack_digit(const struct packer *packer, const int16_t *weights, int zero, unsigned digit,
                       unsigned shift, uint8_t *nibbles)
{
    const struct i4q_conv_shape *shape = &packer->conv->shape;
    size_t taps = shape->kernel[0] * shape->kernel[1], channels = shape->channels / shape->groups;
    for (size_t tap = 0; tap < taps; tap++, nibbles += packer->packed->quads * HALF)
        for (size_t c = 0; c < packer->packed->quads * 4; c++) {
            int code = (c < channels ? weights[c * taps + tap] : 0) + zero;
            nibbles[c / 4 * HALF + c % 4] |= (uint8_t)((code >> 4 * digit & 15) << shift);
        }
}

static void pack_tile(const struct packer *packer, size_t tile)
{
    const struct i4q_dense_packed *packed = packer->packed;
    read_rows(packer, tile);
    for (size_t row = 0; row < ROWS; row++) {
        size_t o = output_of(packer, tile, row);
        int zero = o == SIZE_MAX ? 0 : zero_code(packer->conv, o);
        for (unsigned digit = 0; digit < packed->digits; digit++) {
            size_t at = tile * packed->digits + digit;
            packed->offsets[at * ROWS + row] = zero >> 4 * digit & 15;
            pack_digit(packer, packer->rows + row * packer->conv->weights, zero, digit, row < 4 ? 0 : 4,
                       packed->nibbles + at * packed->steps * HALF + row % 4 * 4);
        }
    }
}

/* ---- decoding */

/* Half of a step: 4 weights of 4 outputs. */
typedef uint8_t half __attribute__((vector_size(HALF)));

static half load_half(const uint8_t *source)
{
    half bytes;
    memcpy(&bytes, source, sizeof bytes);
    return bytes;
}

static void store_half(half bytes, int8_t *target)
{
    memcpy(target, &bytes, sizeof bytes);
}

/* Offsets of 4 outputs, for their 4 weights each. */
static half spread(const uint8_t *offsets)
{
    half bytes = {0};
    for (size_t i = 0; i < HALF; i++)
        bytes[i] = offsets[i / 4];
    return bytes;
}

static void decode(const uint8_t *nibbles, const uint8_t *offsets, size_t steps, int8_t *weights)
{
    const half low = spread(offsets), high = spread(offsets + ROWS / 2);
    for (size_t i = 0; i < steps; i++) {
        half bytes = load_half(nibbles + i * HALF);
        store_half((bytes & 15) - low, weights + i * I4Q_DENSE_STEP);
        store_half((bytes >> 4) - high, weights + i * I4Q_DENSE_STEP + HALF);
    }
}

/* The same of two digits, added up. */
static void decode_merged(const uint8_t *nibbles, const uint8_t *offsets, size_t steps, int8_t *weights)
{
    const half low = spread(offsets) + 16 * spread(offsets + ROWS);
    const half high = spread(offsets + ROWS / 2) + 16 * spread(offsets + ROWS + ROWS / 2);
    for (size_t i = 0; i < steps; i++) {
        half first = load_half(nibbles + i * HALF), second = load_half(nibbles + (steps + i) * HALF);
        store_half((first & 15) + (second << 4) - low, weights + i * I4Q_DENSE_STEP);
        store_half((first >> 4) + (second & 0xf0) - high, weights + i * I4Q_DENSE_STEP + HALF);
    }
}

void i4q_dense_decode(const struct i4q_dense_packed *packed, size_t tile, unsigned pass, int8_t *weights)
{
    size_t at = tile * packed->digits + pass;
    const uint8_t *nibbles = packed->nibbles + at * packed->steps * HALF,
                  *offsets = packed->offsets + at * ROWS;
    (packed->passes < packed->digits ? decode_merged : decode)(nibbles, offsets, packed->steps, weights);
}

/* ---- runs */

/* The most steps from the first on whose sums fit int16_t: each is of two places of an output, and no part of
 * it can be beyond the sum of all weights of one sign times the largest pixel. */
static size_t find_run(const int8_t *tile, size_t steps)
{
    int sums[ROWS * 2][2] = {{0}}; /* of weights above 0, of those below */
    for (size_t step = 0; step < steps; step++)
        for (size_t i = 0; i < I4Q_DENSE_STEP; i++) {
            int8_t weight = tile[step * I4Q_DENSE_STEP + i];
            int *sum = &sums[i / 2][weight < 0];
            *sum += abs(weight);
            if (*sum > MOST_IN_RUN)
                return step;
        }
    return steps;
}

static void find_runs(const struct packer *packer, size_t tile, unsigned pass)
{
    const struct i4q_dense_packed *packed = packer->packed;
    size_t index = tile * packed->passes + pass, count = 0, run;
    i4q_dense_decode(packed, tile, pass, packer->tile);
    for (size_t step = 0; step < packed->steps; step += run) {
        run = packed->steps - step < UINT16_MAX ? packed->steps - step : UINT16_MAX;
        if (!packer->conv->set->dense->wide)
            run = find_run(packer->tile + step * I4Q_DENSE_STEP, run);
        packed->runs[index * packed->most_runs + count++] = (uint16_t)run;
    }
    packed->counts[index] = count;
}

/* ---- memory */

static void describe(const struct i4q_conv *conv, struct i4q_dense_packed *packed)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    bool wide = conv->set->dense->wide;
    packed->quads = i4q_div_up(shape->channels / shape->groups, 4);
    packed->steps = packed->quads * shape->kernel[0] * shape->kernel[1];
    packed->group_tiles = i4q_div_up(shape->outputs / shape->groups, ROWS);
    packed->digits = conv->bits <= 4 && conv->blocks == 1 ? 1 : 2;
    packed->passes = (wide || pairs_fit(conv)) && fits_byte(conv) ? 1 : packed->digits;
    bool merged = packed->passes < packed->digits;
    packed->most_runs = packed->steps / (wide ? UINT16_MAX : merged ? 1 : SHORTEST_RUN) + 1;
}

/* Cuts an aligned part off the memory behind `at`. */
static void *take(uintptr_t *at, size_t bytes)
{
    uintptr_t part = *at;
    *at += i4q_div_up(bytes, 64) * 64;
    return (void *)part;
}

/* Where everything lies behind `memory`; returns its size, which is the same for NULL. */
static size_t place(const struct i4q_conv *conv, struct i4q_dense_packed *packed, void *memory)
{
    size_t tiles = conv->shape.groups * packed->group_tiles, passes = tiles * packed->passes;
    size_t digits = tiles * packed->digits;
    uintptr_t at = (uintptr_t)memory;
    take(&at, sizeof *packed);
    packed->sums = take(&at, conv->shape.outputs * sizeof *packed->sums);
    packed->counts = take(&at, passes * sizeof *packed->counts);
    packed->runs = take(&at, passes * packed->most_runs * sizeof *packed->runs);
    packed->offsets = take(&at, digits * ROWS);
    packed->nibbles = take(&at, digits * packed->steps * HALF);
    return at - (uintptr_t)memory;
}

bool i4q_dense_pack(struct i4q_conv *conv, const void *codes, struct i4q_error *error)
{
    struct i4q_dense_packed packed;
    describe(conv, &packed);
    conv->packed_bytes = place(conv, &packed, NULL);
    struct packer packer = {conv, codes, NULL, malloc(conv->weights * ROWS * sizeof *packer.rows),
                            malloc(packed.steps * I4Q_DENSE_STEP)};
    void *memory = conv->packed = calloc(1, conv->packed_bytes);
    bool done = memory && packer.rows && packer.tile;
    if (done) {
        place(conv, &packed, memory);
        packer.packed = memcpy(memory, &packed, sizeof packed);
        for (size_t tile = 0; tile < conv->shape.groups * packed.group_tiles; tile++) {
            pack_tile(&packer, tile);
            for (unsigned pass = 0; pass < packed.passes; pass++)
                find_runs(&packer, tile, pass);
        }
    }
    free(packer.rows);
    free(packer.tile);
    return done || i4q_fail_memory(error);
}

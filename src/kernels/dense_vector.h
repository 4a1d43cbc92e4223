// SPDX-License-Identifier: Apache-2.0
/*
 * The dense kernels, written once in the vector types of GCC and Clang. A kernel file includes one of
 * lanes_*.h, defines what follows for its instruction set, then includes this file and lists the result.
 *
 *   EACH_ROW                    ROWS_4 or ROWS_8: outputs of a block, whose sums stay in registers
 *   BLOCK_ROWS, BLOCK_COLUMNS   how many these are, and registers of pixels, 2 or 3
 *   partial                     registers that products are added up in, WIDTH pixels of one output
 *   quads                       registers of WIDTH pixels of 4 bytes
 *   PRODUCT(sum, x, w)          sum and the products of pixels x with weights w
 *   spread(w)                   4 weights for each pixel
 *   widen(sum, shift)           the sums of 4 products as WIDTH int32_t, times 2^shift
 *   ORIGIN                      see struct i4q_dense_kernels
 *   PIN(x)                      keeps x in a register, and its computation where it stands. Compilers see
 *                               freedom in a block, load all of its weights ahead, and have no registers left
 *                               for the sums: GCC 12 was half as fast, clang 14 a tenth slower
 */
#include "kernels/conv_dense.h"

#include <string.h>

#define COLUMNS_1(M, r) M(r, 0)
#define COLUMNS_2(M, r) COLUMNS_1(M, r) M(r, 1)
#define COLUMNS_3(M, r) COLUMNS_2(M, r) M(r, 2)

#define ROWS_4(M, N) M(N, 0) M(N, 1) M(N, 2) M(N, 3)
#define ROWS_8(M, N) ROWS_4(M, N) M(N, 4) M(N, 5) M(N, 6) M(N, 7)

typedef int32_t ints __attribute__((vector_size(WIDTH * sizeof(int32_t))));

static inline quads load_quads(const uint8_t *source)
{
    quads x;
    memcpy(&x, source, sizeof x);
    return x;
}

static inline void keep(ints more, bool add, int32_t *sums)
{
    ints all = {0};
    if (add)
        memcpy(&all, sums, sizeof all);
    all += more;
    memcpy(sums, &all, sizeof all);
}

#define START(r, c) partial sum_##r##_##c = {0};
#define LOAD(r, c)  quads x_##c = load_quads(x + c * sizeof x_##c);
#define MULTIPLY(r, c)                                                                                       \
    sum_##r##_##c = PRODUCT(sum_##r##_##c, x_##c, w);                                                        \
    PIN(sum_##r##_##c);
#define MULTIPLY_ROW(COLUMNS, r)                                                                             \
    {                                                                                                        \
        quads w = spread(weights + r * 4);                                                                   \
        PIN(w);                                                                                              \
        COLUMNS(MULTIPLY, r)                                                                                 \
    }
#define KEEP(r, c) keep(widen(sum_##r##_##c, dot->shift), add, sums + r * dot->pitch + c * WIDTH);

/* BLOCK_ROWS outputs from `row` on, and a register of pixels from `pixel` on for each column. */
#define BLOCK(name, COLUMNS)                                                                                 \
    static void name(const struct i4q_dense_dot *dot, size_t row, size_t pixel)                              \
    {                                                                                                        \
        const int8_t *weights = dot->weights + row * 4;                                                      \
        const size_t *offset = dot->offsets;                                                                 \
        int32_t *sums = dot->sums + row * dot->pitch + pixel;                                                \
        bool add = dot->add;                                                                                 \
        for (size_t run = 0; run < dot->run_count; run++, add = true) {                                      \
            const size_t *end = offset + dot->runs[run];                                                     \
            EACH_ROW(COLUMNS, START)                                                                         \
            for (; offset < end; offset++, weights += I4Q_DENSE_STEP) {                                      \
                const uint8_t *x = dot->pixels + pixel * 4 + *offset;                                        \
                COLUMNS(LOAD, 0)                                                                             \
                EACH_ROW(MULTIPLY_ROW, COLUMNS)                                                              \
            }                                                                                                \
            EACH_ROW(COLUMNS, KEEP)                                                                          \
        }                                                                                                    \
    }

BLOCK(block_1, COLUMNS_1)
BLOCK(block_2, COLUMNS_2)
BLOCK(block_3, COLUMNS_3)

/* The last 4 registers are better off as 2 and 2 than as 3 and 1. */
static size_t next_columns(size_t registers)
{
    if (registers < BLOCK_COLUMNS)
        return registers;
    return BLOCK_COLUMNS == 3 && registers == 4 ? 2 : BLOCK_COLUMNS;
}

static void dot_quads(const struct i4q_dense_dot *dot)
{
    typedef void block_fn(const struct i4q_dense_dot *, size_t, size_t);
    static block_fn *const blocks[] = {NULL, block_1, block_2, block_3};
    for (size_t done = 0, columns; done < dot->registers; done += columns) {
        columns = next_columns(dot->registers - done);
        for (size_t row = 0; row < I4Q_DENSE_ROWS; row += BLOCK_ROWS)
            blocks[columns](dot, row, done * WIDTH);
    }
}

/* ---- quantizing */

struct steps {
    floats inverse, low, high;
    words zero; /* of four channels, and what takes out the bits of ROUNDER below */
};

/* Added to a number, it leaves the nearest integer in the low bits of the sum. */
#define ROUNDER 0x1.8p23f

static struct steps spread_grid(const struct i4q_conv_grid *grid)
{
    const uint32_t each = 0x01010101;
    uint32_t zero = (uint32_t)grid->zero * each - bits_of((floats){0} + ROUNDER)[0] * each;
    return (struct steps){
        .inverse = (floats){0} + grid->inverse,
        .low = (floats){0} + (float)-grid->zero,
        .high = (floats){0} + (float)(255 - grid->zero),
        .zero = (words){0} + zero,
    };
}

static inline words round_steps(const float *x, const struct steps *steps)
{
    floats t;
    memcpy(&t, x, sizeof t);
    return bits_of(most(least(t * steps->inverse, steps->high), steps->low) + ROUNDER);
}

/* Four channels of a register of pixels, each a byte. Sums in 32 bits do for all four: what is carried from
 * one byte to the next comes back when the zero points are added. */
static inline void quantize_pixels(const float *const x[4], size_t at, const struct steps *steps,
                                   uint8_t *pixels)
{
    words sum = steps->zero + round_steps(x[0] + at, steps) + (round_steps(x[1] + at, steps) << 8) +
                (round_steps(x[2] + at, steps) << 16) + (round_steps(x[3] + at, steps) << 24);
    sum ^= ORIGIN * 0x01010101u; /* which takes 128 from each byte, if that is the origin */
    memcpy(pixels + at * 4, &sum, sizeof sum);
}

/* The last register overlaps the one before. */
static void quantize_quads(const float *const x[4], size_t n, const struct i4q_conv_grid *grid,
                           uint8_t *pixels)
{
    const struct steps steps = spread_grid(grid);
    float few[4][WIDTH] = {{0}};
    const float *const padded[] = {few[0], few[1], few[2], few[3]};
    uint8_t result[4 * WIDTH];
    if (n >= WIDTH) {
        for (size_t at = 0; at + WIDTH <= n; at += WIDTH)
            quantize_pixels(x, at, &steps, pixels);
        quantize_pixels(x, n - WIDTH, &steps, pixels);
        return;
    }
    for (size_t i = 0; i < 4; i++)
        memcpy(few[i], x[i], n * sizeof(float));
    quantize_pixels(padded, 0, &steps, result);
    memcpy(pixels, result, n * 4);
}

#define I4Q_DENSE_KERNELS                                                                                    \
    .lanes = WIDTH, .columns = BLOCK_COLUMNS, .origin = ORIGIN, .quantize = quantize_quads, .dot = dot_quads

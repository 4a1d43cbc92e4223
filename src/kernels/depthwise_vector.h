// SPDX-License-Identifier: Apache-2.0
/*
 * The depthwise kernels, written once in the vector types of GCC and Clang. A kernel file includes one of
 * lanes_*.h and conv_vector.h, defines what follows for its instruction set, then includes this file and
 * lists the result.
 *
 *   PAIRS                       pixels of a register of 16-bit sums
 *   shorts                      registers of PAIRS int16_t
 *   pixels, weights             registers of PAIRS pairs of pixels, and of PAIRS times the same weights
 *   load_pixels(p)              2 * PAIRS bytes
 *   spread(pair)                the weights of a tap
 *   ORIGIN                      see struct i4q_depthwise_kernels
 *   add_products(sums, x, w)    sums and the products of both of each pair
 *   store_in_turn(a, b, p)      2 * PAIRS sums, in turn from a and b
 *   get_sums(p)                 WIDTH sums as int32_t
 *   nearest(x)                  floats as ints, half to even
 *   put_bytes(r, zero, p)       4 registers of ints, plus zero, as bytes in their order, saturated
 *   PIN(x)                      keeps x in a register, and its computation where it stands: GCC would load
 *                               ahead, and have no registers left for the sums
 */
#include "kernels/conv_activation_impl.h"
#include "kernels/conv_depthwise.h"

/* ---- quantizing */

struct steps {
    floats inverse, low, high;
    int zero;
};

/* Code with constants in it: whether the grid was given. */
#define INLINE static inline __attribute__((always_inline))

INLINE ints steps_of(const float *x, const struct steps *steps, bool given)
{
    floats t = load(x) * steps->inverse;
    return nearest(given ? most(least(t, steps->high), steps->low) : t);
}

INLINE void quantize_four(const float *x, const struct steps *steps, bool given, uint8_t *bytes)
{
    const ints r[] = {steps_of(x, steps, given), steps_of(x + WIDTH, steps, given),
                      steps_of(x + 2 * WIDTH, steps, given), steps_of(x + 3 * WIDTH, steps, given)};
    put_bytes(r, steps->zero, bytes);
}

/* Four registers at a time: the last ones overlap those before, or are padded. */
INLINE void quantize_all(const float *x, size_t n, const struct i4q_conv_grid *grid, bool given,
                         uint8_t *bytes)
{
    enum { FOUR = 4 * WIDTH };
    const struct steps steps = {all(grid->inverse), all((float)-grid->zero), all((float)(255 - grid->zero)),
                                grid->zero};
    for (size_t i = 0; i + FOUR <= n; i += FOUR)
        quantize_four(x + i, &steps, given, bytes + i);
    if (n < FOUR) {
        float padded[FOUR] = {0};
        memcpy(padded, x, n * sizeof *x);
        quantize_four(padded, &steps, given, bytes);
    } else if (n % FOUR) {
        quantize_four(x + n - FOUR, &steps, given, bytes + n - FOUR);
    }
}

/* Of a range, a grid needs no clamping but what saturation does. */
static void quantize(const float *x, size_t n, const struct i4q_conv_grid *grid, bool given, uint8_t *bytes)
{
    if (given)
        quantize_all(x, n, grid, true, bytes);
    else
        quantize_all(x, n, grid, false, bytes);
}

/* ---- planes. Whole lines are written: what is too much is overwritten by what follows, or slack. */

enum { LINE = 32 };
typedef uint8_t line __attribute__((vector_size(LINE)));

static inline line load_line(const uint8_t *source)
{
    line some;
    memcpy(&some, source, sizeof some);
    return some;
}

static inline void pad(uint8_t *bytes, size_t n, line padding)
{
    for (size_t i = 0; i < n; i += LINE)
        memcpy(bytes + i, &padding, sizeof padding);
}

/* The first n bytes of a line. */
static line first_bytes(size_t n)
{
    uint8_t mask[LINE];
    for (size_t i = 0; i < LINE; i++)
        mask[i] = i < n ? UINT8_MAX : 0;
    return load_line(mask);
}

/* Rows of `whole` lines, and one that ends in padding. */
INLINE void lay_rows(const struct i4q_depthwise_phase *phase, const uint8_t *bytes, line padding,
                     uint8_t *plane, size_t whole)
{
    const size_t end = whole * LINE + LINE, stride = phase->stride, pitch = phase->pitch;
    const line keep = first_bytes(phase->width % LINE), rest = padding & ~keep;
    for (size_t row = phase->rows; row > 0; row--, bytes += stride, plane += pitch) {
        for (size_t i = 0; i < whole; i++)
            pad(plane + i * LINE, LINE, load_line(bytes + i * LINE));
        pad(plane + whole * LINE, LINE, (load_line(bytes + whole * LINE) & keep) | rest);
        pad(plane + end, pitch > end ? pitch - end : 0, padding);
    }
    pad(plane, phase->behind, padding);
}

/* Most maps are small: no loop is faster than one of a constant length. */
static void lay(const struct i4q_depthwise_phase *phase, const uint8_t *bytes, int zero, uint8_t *plane)
{
    const line padding = (line){0} + (uint8_t)zero;
    size_t whole = phase->width / LINE;
    pad(plane, phase->before, padding);
    bytes += phase->first;
    plane += phase->before;
    if (whole == 0)
        lay_rows(phase, bytes, padding, plane, 0);
    else if (whole == 1)
        lay_rows(phase, bytes, padding, plane, 1);
    else
        lay_rows(phase, bytes, padding, plane, whole);
}

/* ---- sums */

#define COLUMNS_1(M) M(0)
#define COLUMNS_3(M) M(0) M(1) M(2)

#define START_TWO(c) shorts even_##c = first, odd_##c = first;
#define ADD_TWO(c)                                                                                           \
    {                                                                                                        \
        pixels x = load_pixels(at + c * 2 * PAIRS);                                                          \
        even_##c = add_products(even_##c, x, even);                                                          \
        PIN(even_##c);                                                                                       \
        odd_##c = add_products(odd_##c, x, odd);                                                             \
        PIN(odd_##c);                                                                                        \
    }
#define KEEP_TWO(c) store_in_turn(even_##c, odd_##c, sums + c * 2 * PAIRS);

/* Registers of pixels side by side, each of which gives one of sums for even indices and one for odd ones. */
#define BLOCK_TWO(name, COLUMNS)                                                                             \
    static inline void name(const uint8_t *source, const size_t *offsets,                                    \
                            const struct i4q_depthwise_tap *taps, size_t n, shorts first, int16_t *sums)     \
    {                                                                                                        \
        COLUMNS(START_TWO)                                                                                   \
        for (size_t t = 0; t < n; t++) {                                                                     \
            const uint8_t *at = source + offsets[t];                                                         \
            weights even = spread(taps[t].even), odd = spread(taps[t].odd);                                  \
            COLUMNS(ADD_TWO)                                                                                 \
        }                                                                                                    \
        COLUMNS(KEEP_TWO)                                                                                    \
    }

#define START_ONE(c) shorts sum_##c = first;
#define ADD_ONE(c)                                                                                           \
    sum_##c = add_products(sum_##c, load_pixels(at + c * 2 * PAIRS), even);                                  \
    PIN(sum_##c);
#define KEEP_ONE(c) memcpy(sums + c * PAIRS, &sum_##c, sizeof sum_##c);

/* The same with sums for each second pixel. */
#define BLOCK_ONE(name, COLUMNS)                                                                             \
    static inline void name(const uint8_t *source, const size_t *offsets,                                    \
                            const struct i4q_depthwise_tap *taps, size_t n, shorts first, int16_t *sums)     \
    {                                                                                                        \
        COLUMNS(START_ONE)                                                                                   \
        for (size_t t = 0; t < n; t++) {                                                                     \
            const uint8_t *at = source + offsets[t];                                                         \
            weights even = spread(taps[t].even);                                                             \
            COLUMNS(ADD_ONE)                                                                                 \
        }                                                                                                    \
        COLUMNS(KEEP_ONE)                                                                                    \
    }

BLOCK_TWO(add_two_1, COLUMNS_1)
BLOCK_TWO(add_two_3, COLUMNS_3)
BLOCK_ONE(add_one_1, COLUMNS_1)
BLOCK_ONE(add_one_3, COLUMNS_3)

static void add_up_1(const uint8_t *source, const size_t *offsets, const struct i4q_depthwise_tap *taps,
                     size_t n, int16_t start, size_t count, int16_t *sums)
{
    enum { COLUMN = 2 * PAIRS };
    const shorts first = (shorts){0} + start;
    size_t i = 0;
    for (; i + 2 * COLUMN < count; i += 3 * COLUMN)
        add_two_3(source + i, offsets, taps, n, first, sums + i);
    for (; i < count; i += COLUMN)
        add_two_1(source + i, offsets, taps, n, first, sums + i);
}

static void add_up_2(const uint8_t *source, const size_t *offsets, const struct i4q_depthwise_tap *taps,
                     size_t n, int16_t start, size_t count, int16_t *sums)
{
    const shorts first = (shorts){0} + start;
    size_t i = 0;
    for (; i + 2 * PAIRS < count; i += 3 * PAIRS)
        add_one_3(source + 2 * i, offsets, taps, n, first, sums + i);
    for (; i < count; i += PAIRS)
        add_one_1(source + 2 * i, offsets, taps, n, first, sums + i);
}

/* ---- finish */

struct scaling {
    floats scale, bias;
};

static inline floats scaled(const int16_t *sums, const struct scaling *by)
{
    return multiply_add(__builtin_convertvector(get_sums(sums), floats), by->scale, by->bias);
}

/* Reads whole registers of sums, and writes what there is. */
#define FINISH_ROWS(enumerator, function)                                                                    \
    static void finish_rows_##function(const int16_t *sums, size_t rows, size_t width, size_t pitch,         \
                                       const struct i4q_conv_finish *finish, float *y)                       \
    {                                                                                                        \
        const struct i4q_conv_activation *activation = finish->activation;                                   \
        const struct scaling by = {all(finish->scale), all(finish->bias)};                                   \
        for (size_t row = 0; row < rows; row++, sums += pitch, y += width) {                                 \
            size_t i = 0, last = width - WIDTH;                                                              \
            for (; i + WIDTH <= width; i += WIDTH)                                                           \
                store(y + i, function(scaled(sums + i, &by), activation));                                   \
            if (i == width)                                                                                  \
                continue;                                                                                    \
            if (width > WIDTH)                                                                               \
                store(y + last, function(scaled(sums + last, &by), activation));                             \
            else                                                                                             \
                store_few(y, width, function(scaled(sums, &by), activation));                                \
        }                                                                                                    \
    }

static inline void store_few(float *y, size_t n, floats numbers)
{
    float few[WIDTH];
    store(few, numbers);
    memcpy(y, few, n * sizeof *y);
}

ACTIVATIONS(FINISH_ROWS)

#define FINISH_ROWS_ENTRY(enumerator, function) [enumerator] = finish_rows_##function,

static void finish_rows(const int16_t *sums, size_t rows, size_t width, size_t pitch,
                        const struct i4q_conv_finish *finish, float *y)
{
    typedef void finish_fn(const int16_t *, size_t, size_t, size_t, const struct i4q_conv_finish *, float *);
    static finish_fn *const functions[] = {ACTIVATIONS(FINISH_ROWS_ENTRY)};
    functions[finish->activation->function](sums, rows, width, pitch, finish, y);
}

#define I4Q_DEPTHWISE_KERNELS                                                                                \
    .origin = ORIGIN, .quantize = quantize, .lay = lay, .add_up = {add_up_1, add_up_2}, .finish = finish_rows

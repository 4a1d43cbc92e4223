// SPDX-License-Identifier: Apache-2.0
/*
 * What every kernel set for Convs does with rows of numbers, written once in the vector types of GCC and
 * Clang. Before it includes this, a file includes the lanes_*.h of its instruction set, which gives, beside
 * what conv_activation_impl.h names,
 *
 *   most_signed(a, b), most_unsigned(a, b)  the larger one, word by word, of int32_t and of uint32_t
 */
#ifndef INT4Q_KERNELS_CONV_VECTOR_H
#define INT4Q_KERNELS_CONV_VECTOR_H

#include "kernels/conv_activation_impl.h"
#include "kernels/conv_impl.h"
#include "kernels/lanes.h"

#include <string.h>

/* ---- range */

/* Bits of the largest number >= 0, compared as signed integers, and of the least one < 0, as unsigned ones:
 * so they order like the numbers, infinity is beyond the finite ones, and NaN of either sign beyond infinity.
 */
struct extremes {
    words high[4], low[4];
};

static inline void look_at(const float *x, size_t r, struct extremes *extremes)
{
    words bits = bits_of(load(x));
    PIN(bits); /* GCC would load it twice */
    extremes->high[r] = most_signed(extremes->high[r], bits);
    extremes->low[r] = most_unsigned(extremes->low[r], bits);
}

/* Halves against each other until there is one. */
#define LARGEST(name, type)                                                                                  \
    static inline uint32_t name(words a)                                                                     \
    {                                                                                                        \
        type w[WIDTH];                                                                                       \
        memcpy(w, &a, sizeof w);                                                                             \
        for (size_t half = WIDTH / 2; half > 0; half /= 2)                                                   \
            for (size_t i = 0; i < half; i++)                                                                \
                w[i] = w[i + half] > w[i] ? w[i + half] : w[i];                                              \
        return (uint32_t)w[0];                                                                               \
    }

LARGEST(largest_signed, int32_t)
LARGEST(largest_unsigned, uint32_t)

static void widen_range(const struct extremes *extremes, struct i4q_conv_range *range)
{
    const uint32_t infinity = 0x7f800000, sign = 0x80000000;
    const words *h = extremes->high, *l = extremes->low;
    uint32_t high = largest_signed(most_signed(most_signed(h[0], h[1]), most_signed(h[2], h[3])));
    uint32_t low = largest_unsigned(most_unsigned(most_unsigned(l[0], l[1]), most_unsigned(l[2], l[3])));
    float ends[2];
    range->finite &= high < infinity && low < (infinity | sign);
    memcpy(&ends[0], &low, sizeof low);
    memcpy(&ends[1], &high, sizeof high);
    range->low = ends[0] < range->low ? ends[0] : range->low; /* >= 0: there is none below */
    range->high = ends[1] > range->high ? ends[1] : range->high;
}

/* The last register overlaps the one before, or is padded. */
static void find_range(const float *x, size_t n, struct i4q_conv_range *range)
{
    struct extremes extremes = {{{0}}, {{0}}};
    float few[WIDTH] = {0};
    size_t i = 0;
    for (; i + 4 * WIDTH <= n; i += 4 * WIDTH)
        for (size_t r = 0; r < 4; r++)
            look_at(x + i + r * WIDTH, r, &extremes);
    for (; i + WIDTH <= n; i += WIDTH)
        look_at(x + i, 0, &extremes);
    if (n >= WIDTH)
        look_at(x + n - WIDTH, 1, &extremes);
    else {
        memcpy(few, x, n * sizeof *x);
        look_at(few, 1, &extremes);
    }
    widen_range(&extremes, range);
}

/* ---- finish */

struct scaling {
    ints correction;
    floats scale, bias;
};

static inline floats scaled(const int32_t *sums, const struct scaling *by)
{
    ints sum;
    memcpy(&sum, sums, sizeof sum);
    return multiply_add(__builtin_convertvector(sum - by->correction, floats), by->scale, by->bias);
}

/* A function for each activation. The last register overlaps the one before, or is padded. */
#define FINISH(enumerator, function)                                                                         \
    static void finish_##function(const int32_t *sums, size_t n, const struct i4q_conv_finish *finish,       \
                                  float *y)                                                                  \
    {                                                                                                        \
        const struct i4q_conv_activation *activation = finish->activation;                                   \
        const struct scaling by = {(ints){0} + finish->correction, all(finish->scale), all(finish->bias)};   \
        int32_t padded[WIDTH] = {0};                                                                         \
        float few[WIDTH];                                                                                    \
        for (size_t i = 0; i + WIDTH <= n; i += WIDTH)                                                       \
            store(y + i, function(scaled(sums + i, &by), activation));                                       \
        if (n % WIDTH == 0)                                                                                  \
            return;                                                                                          \
        if (n > WIDTH) {                                                                                     \
            store(y + n - WIDTH, function(scaled(sums + n - WIDTH, &by), activation));                       \
            return;                                                                                          \
        }                                                                                                    \
        memcpy(padded, sums, n * sizeof *sums);                                                              \
        store(few, function(scaled(padded, &by), activation));                                               \
        memcpy(y, few, n * sizeof *y);                                                                       \
    }

ACTIVATIONS(FINISH)

#define FINISH_ENTRY(enumerator, function) [enumerator] = finish_##function,

static void finish_row(const int32_t *sums, size_t n, const struct i4q_conv_finish *finish, float *y)
{
    typedef void finish_fn(const int32_t *, size_t, const struct i4q_conv_finish *, float *);
    static finish_fn *const functions[] = {ACTIVATIONS(FINISH_ENTRY)};
    functions[finish->activation->function](sums, n, finish, y);
}

/* For struct i4q_conv_kernels. */
#define I4Q_CONV_ROWS .range = find_range, .finish = finish_row

#endif

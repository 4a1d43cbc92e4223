// SPDX-License-Identifier: Apache-2.0
#include "conv_rows_checks.h"

#include "kernels/conv_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 150 };

struct check {
    const struct i4q_conv_kernels *set;
    uint32_t seed;
    char *message;
    size_t size;
};

static uint32_t next(struct check *check)
{
    check->seed = check->seed * 1664525 + 1013904223;
    return check->seed >> 8;
}

static float next_number(struct check *check)
{
    return ldexpf((float)next(check) / 0x1p23f - 1, (int)(next(check) % 12));
}

/* ---- range */

static bool same_range(struct check *check, const float *x, size_t n, const char *what)
{
    struct i4q_conv_range expected = {-0.25f, 0.5f, true}, range = expected;
    i4q_conv_scalar.range(x, n, &expected);
    check->set->range(x, n, &range);
    if (range.finite == expected.finite &&
        (!range.finite || (range.low == expected.low && range.high == expected.high)))
        return true;
    snprintf(check->message, check->size, "%s: range of %zu numbers, %s: %g ... %g, not %g ... %g",
             check->set->name, n, what, (double)range.low, (double)range.high, (double)expected.low,
             (double)expected.high);
    return false;
}

/* Numbers of one sign, of both, and one that is none at each place. */
static bool check_range(struct check *check, size_t n)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN, -NAN, -0.0f, 0x1p-149f, -0x1.fffffep127f};
    float x[LONGEST] = {0};
    for (size_t i = 0; i < n; i++)
        x[i] = -fabsf(next_number(check));
    if (!same_range(check, x, n, "negative"))
        return false;
    for (size_t i = 0; i < n; i++)
        x[i] = fabsf(x[i]);
    if (!same_range(check, x, n, "positive"))
        return false;
    for (size_t i = 0; i < n; i++)
        x[i] = next_number(check);
    for (size_t i = 0; i < n; i++) {
        float kept = x[i];
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            x[i] = odd[k];
            if (!same_range(check, x, n, "with one that is odd"))
                return false;
        }
        x[i] = kept;
    }
    return same_range(check, x, n, "mixed");
}

/* ---- finish */

static bool same_bits(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static bool same_finish(struct check *check, const int32_t *sums, size_t n,
                        const struct i4q_conv_finish *finish)
{
    float expected[LONGEST + 1], y[LONGEST + 1];
    expected[n] = y[n] = 42;
    i4q_conv_scalar.finish(sums, n, finish, expected);
    check->set->finish(sums, n, finish, y);
    for (size_t i = 0; i <= n; i++)
        if (!same_bits(y[i], expected[i])) {
            snprintf(check->message, check->size, "%s: function %d of %zu sums: %.9g at %zu, not %.9g",
                     check->set->name, (int)finish->activation->function, n, (double)y[i], i,
                     (double)expected[i]);
            return false;
        }
    return true;
}

static bool check_finish(struct check *check, size_t n)
{
    static const float scales[] = {0.001f, 1, -0.5f, 0, 0x1p120f, 0x1p-140f};
    int32_t sums[LONGEST] = {0};
    for (size_t i = 0; i < n; i++)
        sums[i] = (int32_t)(next(check) % 200000) - 100000;
    if (n)
        sums[n - 1] = INT32_MIN / 2;
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++)
        for (enum i4q_conv_function function = 0; function < I4Q_CONV_FUNCTIONS; function++) {
            const struct i4q_conv_activation activation = {function, 0.1f, -0.75f, 6};
            const struct i4q_conv_finish finish = {(int32_t)(next(check) % 1000), scales[k], -0.125f,
                                                   &activation};
            if (!same_finish(check, sums, n, &finish))
                return false;
        }
    return true;
}

bool conv_rows_check(const struct i4q_conv_kernels *set, char *message, size_t size)
{
    struct check check = {set, 1, message, size};
    for (size_t n = 0; n <= LONGEST; n++)
        if (!check_range(&check, n) || !check_finish(&check, n))
            return false;
    return true;
}

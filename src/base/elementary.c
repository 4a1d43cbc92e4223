// SPDX-License-Identifier: Apache-2.0
#include "base/elementary.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 in two parts: with the first, of 32 bits, products with exponents are exact. */
static const double LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33, LN2 = 0x1.62e42fefa39efp-1;

/* e^r - 1 for |r| <= 0.35, by its power series: what is left out is below 2^-57 of 1. */
static double expm1_near_0(double r)
{
    double sum = 1.0 / 6227020800; /* 1 / 13! */
    sum = 1.0 / 479001600 + r * sum;
    sum = 1.0 / 39916800 + r * sum;
    sum = 1.0 / 3628800 + r * sum;
    sum = 1.0 / 362880 + r * sum;
    sum = 1.0 / 40320 + r * sum;
    sum = 1.0 / 5040 + r * sum;
    sum = 1.0 / 720 + r * sum;
    sum = 1.0 / 120 + r * sum;
    sum = 1.0 / 24 + r * sum;
    sum = 1.0 / 6 + r * sum;
    sum = 1.0 / 2 + r * sum;
    return r + r * r * sum;
}

/* x 2^power, as ldexp has it, which is slow: for x near 1 most powers are numbers themselves. */
static double scale(double x, int power)
{
    uint64_t bits = (uint64_t)(power + DBL_MAX_EXP - 1) << (DBL_MANT_DIG - 1);
    double factor;
    if (power < DBL_MIN_EXP || power >= DBL_MAX_EXP)
        return ldexp(x, power);
    memcpy(&factor, &bits, sizeof factor);
    return x * factor;
}

/* x = power ln 2 + the result, which is at most ln 2 / 2 in size; |x| < 800. */
static double reduce(double x, int *power)
{
    double n = rint(x / LN2);
    *power = (int)n;
    return (x - n * LN2_HIGH) - n * LN2_LOW;
}

double i4q_exp(double x)
{
    int power;
    if (!(fabs(x) < 750))
        return isnan(x) ? x : x > 0 ? INFINITY : 0;
    double rest = reduce(x, &power);
    return scale(1 + expm1_near_0(rest), power);
}

double i4q_exp2(double x)
{
    if (!(fabs(x) < 1080))
        return isnan(x) ? x : x > 0 ? INFINITY : 0;
    double n = rint(x);
    return scale(1 + expm1_near_0((x - n) * LN2), (int)n);
}

/* 2^p (e^r - 1) + (2^p - 1): the two never cancel. */
double i4q_expm1(double x)
{
    int power;
    if (!(fabs(x) < 60 * LN2)) /* beyond 2^60 the 1 is nothing */
        return x < 0 ? -1 : i4q_exp(x);
    if (x == 0)
        return x; /* -0, too */
    double rest = reduce(x, &power);
    return scale(expm1_near_0(rest), power) + (scale(1, power) - 1);
}

double i4q_tanh(double x)
{
    if (!(fabs(x) < 20))
        return isnan(x) ? x : copysign(1, x);
    double t = i4q_expm1(2 * fabs(x));
    return copysign(t / (t + 2), x);
}

/* With x = m 2^e and s = (m - 1) / (m + 1), which is at most 0.172 in size, ln m = 2 s + 2 s (s^2 / 3 + s^4 /
 * 5 + ...); what is left out is below 2^-60 of it. */
double i4q_log10(double x)
{
    static const double LOG10_2 = 0x1.34413509f79ffp-2, LOG10_E = 0x1.bcb7b1526e50ep-2,
                        ROOT_HALF = 0x1.6a09e667f3bcdp-1;
    enum { TERMS = 11 };
    int e;
    if (!(x > 0) || isinf(x))
        return x == 0 ? -INFINITY : x > 0 ? x : NAN;
    double m = frexp(x, &e);
    if (m < ROOT_HALF) {
        m *= 2;
        e--;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int term = TERMS; term > 0; term--)
        sum = square * (1.0 / (2 * term + 1) + sum);
    return e * LOG10_2 + (2 * s + 2 * s * sum) * LOG10_E;
}

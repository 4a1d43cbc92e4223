// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/elementary.h"

#include <float.h>
#include <math.h>

static const struct row {
    const char *name;
    double (*ours)(double);
    long double (*exact)(long double);
    double from, to, bound; /* units in the last place */
} rows[] = {
    {"exp", i4q_exp, expl, -745, 709.7, 1},
    {"exp near 0", i4q_exp, expl, -1, 1, 1},
    {"exp2", i4q_exp2, exp2l, -1070, 1023.9, 1},
    {"exp2 near 0", i4q_exp2, exp2l, -20, 0, 1},
    {"expm1", i4q_expm1, expm1l, -50, 709, 2},
    {"expm1 near 0", i4q_expm1, expm1l, -1, 1, 2},
    {"expm1 at 0", i4q_expm1, expm1l, -1e-9, 1e-9, 2},
    {"tanh", i4q_tanh, tanhl, -25, 25, 3},
    {"tanh near 0", i4q_tanh, tanhl, -0.5, 0.5, 3},
    {"log10", i4q_log10, log10l, 1e-300, 1e300, 2},
    {"log10 near 1", i4q_log10, log10l, 0.4, 2.5, 3},
    {"log10 small", i4q_log10, log10l, 1e-310, 1e-5, 2},
};

/* Spacing of doubles at y. */
static long double ulp_at(long double y)
{
    int e;
    frexpl(y, &e);
    return ldexpl(1, (e > DBL_MIN_EXP ? e : DBL_MIN_EXP) - DBL_MANT_DIG);
}

static void errors_are_within_their_bounds(void **state)
{
    (void)state;
    enum { STEPS = 100000 };
    if (LDBL_MANT_DIG < 64)
        skip(); /* nothing to compare with */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        long double worst = 0;
        for (int n = 0; n <= STEPS; n++) {
            double x = row->from + (row->to - row->from) * n / (double)STEPS;
            long double exact = row->exact(x), error = fabsl(row->ours(x) - exact) / ulp_at(exact);
            worst = error > worst ? error : worst;
        }
        if (!(worst <= row->bound))
            fail_msg("%s: off by %.3Lf units in the last place, %.1f allowed", row->name, worst, row->bound);
        print_message("%s: %.3Lf\n", row->name, worst);
    }
}

static void assert_same(double a, double b)
{
    if (memcmp(&a, &b, sizeof a) != 0 && !(isnan(a) && isnan(b)))
        fail_msg("%a is not %a", a, b);
}

static void ends_are_as_in_c(void **state)
{
    (void)state;
    assert_same(i4q_exp(INFINITY), INFINITY);
    assert_same(i4q_exp(710), INFINITY);
    assert_same(i4q_exp(-INFINITY), 0);
    assert_same(i4q_exp(-746), 0);
    assert_same(i4q_exp(0), 1);
    assert_same(i4q_exp(NAN), NAN);
    assert_same(i4q_exp2(-INFINITY), 0);
    assert_same(i4q_exp2(1024), INFINITY);
    assert_same(i4q_exp2(-1074), 0x1p-1074);
    assert_same(i4q_exp2(10), 1024);
    assert_same(i4q_exp2(NAN), NAN);
    assert_same(i4q_expm1(-0.0), -0.0);
    assert_same(i4q_expm1(-INFINITY), -1);
    assert_same(i4q_expm1(INFINITY), INFINITY);
    assert_same(i4q_expm1(NAN), NAN);
    assert_same(i4q_tanh(-INFINITY), -1);
    assert_same(i4q_tanh(-0.0), -0.0);
    assert_same(i4q_tanh(NAN), NAN);
    assert_same(i4q_log10(0), -INFINITY);
    assert_same(i4q_log10(-1), NAN);
    assert_same(i4q_log10(INFINITY), INFINITY);
    assert_same(i4q_log10(1), 0);
    assert_same(i4q_log10(NAN), NAN);
}

/* The very bits, wherever this runs. */
static void bits_are_the_same_everywhere(void **state)
{
    (void)state;
    assert_same(i4q_exp(-12.5), 0x1.f42ed3f68e69p-19);
    assert_same(i4q_exp(-0.3), 0x1.7b4c869c37c05p-1);
    assert_same(i4q_exp(5.1), 0x1.480b376f013e2p+7);
    assert_same(i4q_exp(700.7), 0x1.dc86ff276fcf3p+1010);
    assert_same(i4q_exp2(-1.4142135623730951), 0x1.8038288c11f8fp-2);
    assert_same(i4q_exp2(-7.3), 0x1.9fdf8bcce533ep-8);
    assert_same(i4q_expm1(-2.7), -0x1.dd973d3157fe8p-1);
    assert_same(i4q_expm1(0.011), 0x1.6a701095c93bcp-7);
    assert_same(i4q_expm1(1.3), 0x1.55ab83615f8b4p+1);
    assert_same(i4q_tanh(-0.7), -0x1.356fb17af2e91p-1);
    assert_same(i4q_tanh(3.3), 0x1.fe9bdf44f7c03p-1);
    assert_same(i4q_log10(3.14), 0x1.fcdb202b8c8aap-2);
    assert_same(i4q_log10(0.0021), -0x1.56c184a57d231p+1);
    assert_same(i4q_log10(1e-310), -0x1.36p+8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_within_their_bounds),
        cmocka_unit_test(ends_are_as_in_c),
        cmocka_unit_test(bits_are_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* QONNX's Quant: ties in every mode, bounds, one bit; numbers worked out by hand from its definition. */
#include "testing.h"

#include "quantize/quant.h"

#include <math.h>

static const float TIES[] = {-2.5f, -1.5f, -1.2f, -0.5f, -0.0f, 0.5f, 1.2f, 1.5f, 2.5f};

static void every_mode_rounds_ties_its_way(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        float codes[sizeof TIES / sizeof *TIES];
    } rows[] = {
        {"ROUND", {-2, -2, -1, 0, 0, 0, 1, 2, 2}},         {"half_even", {-2, -2, -1, 0, 0, 0, 1, 2, 2}},
        {"CEIL", {-2, -1, -1, 0, 0, 1, 2, 2, 3}},          {"FLOOR", {-3, -2, -2, -1, 0, 0, 1, 1, 2}},
        {"UP", {-3, -2, -2, -1, 0, 1, 2, 2, 3}},           {"DOWN", {-2, -1, -1, 0, 0, 0, 1, 1, 2}},
        {"HALF_UP", {-3, -2, -1, -1, 0, 1, 1, 2, 3}},      {"HALF_DOWN", {-2, -1, -1, 0, 0, 0, 1, 1, 2}},
        {"round_to_zero", {-2, -1, -1, 0, 0, 0, 1, 1, 2}},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct i4q_quant quant = {.bits = 4, .is_signed = true};
        assert_true(i4q_quant_find_rounding(rows[r].name, &quant.rounding));
        for (size_t i = 0; i < sizeof TIES / sizeof *TIES; i++)
            if (i4q_quant_code(&quant, TIES[i] / 4, 0.25f, 0) != rows[r].codes[i])
                fail_msg("%s of %g: %g", rows[r].name, (double)TIES[i],
                         (double)i4q_quant_code(&quant, TIES[i] / 4, 0.25f, 0));
    }
    enum i4q_quant_rounding rounding;
    assert_false(i4q_quant_find_rounding("NEAREST", &rounding));
    assert_false(i4q_quant_find_rounding("", &rounding));
}

static void bounds_are_those_of_the_width(void **state)
{
    (void)state;
    static const struct {
        struct i4q_quant quant;
        float low, high;
    } rows[] = {
        {{4, true, false, 0}, -8, 7}, {{4, true, true, 0}, -7, 7},     {{4, false, false, 0}, 0, 15},
        {{4, false, true, 0}, 0, 14}, {{8, true, true, 0}, -127, 127}, {{8, false, false, 0}, 0, 255},
        {{2, true, false, 0}, -2, 1}, {{1, false, false, 0}, 0, 1},    {{1, true, true, 0}, -1, 1},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        float low, high;
        i4q_quant_range(&rows[r].quant, &low, &high);
        assert_true(low == rows[r].low && high == rows[r].high);
        assert_true(i4q_quant_code(&rows[r].quant, 1e30f, 0.5f, 0) == high);
        assert_true(i4q_quant_code(&rows[r].quant, -1e30f, 0.5f, 0) == low);
    }
}

/* The zero point is added before rounding: x / scale + zero point = 0.5 + 1 = 1.5, a tie that goes to 2. */
static void zero_points_count_before_rounding(void **state)
{
    (void)state;
    const struct i4q_quant quant = {4, false, false, I4Q_ROUND_HALF_EVEN};
    assert_true(i4q_quant_code(&quant, 0.25f, 0.5f, 1) == 2);
    assert_true(i4q_quant_value(2, 0.5f, 1) == 0.5f);
    assert_true(i4q_quant_code(&quant, -4, 0.5f, 8) == 0);
}

static void one_signed_bit_is_a_sign(void **state)
{
    (void)state;
    const struct i4q_quant quant = {1, true, false, I4Q_ROUND_FLOOR};
    assert_true(i4q_quant_code(&quant, 0, 0.5f, 0) == 1);
    assert_true(i4q_quant_code(&quant, -0.0f, 0.5f, 0) == 1);
    assert_true(i4q_quant_code(&quant, -1e-30f, 0.5f, 0) == -1);
    assert_true(i4q_quant_code(&quant, 3, 0.5f, 0) == 1);
}

static void nan_passes(void **state)
{
    (void)state;
    const struct i4q_quant quant = {4, true, false, I4Q_ROUND_HALF_EVEN};
    assert_true(isnan(i4q_quant_code(&quant, NAN, 1, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_rounds_ties_its_way),
        cmocka_unit_test(bounds_are_those_of_the_width),
        cmocka_unit_test(zero_points_count_before_rounding),
        cmocka_unit_test(one_signed_bit_is_a_sign),
        cmocka_unit_test(nan_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

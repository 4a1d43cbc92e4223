// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "quantize/range.h"

#include <math.h>

enum { BINS = 8, CHANNELS = 4 };

/* Channels of these ends, each with these counts. */
static float low[CHANNELS], high[CHANNELS];
static uint32_t counts[CHANNELS][BINS];
static struct i4q_histogram histogram;

static void spread(size_t channels, const float ends[][2], const uint32_t count[BINS])
{
    histogram = (struct i4q_histogram){channels, BINS, low, high, counts};
    for (size_t c = 0; c < channels; c++) {
        low[c] = ends[c][0];
        high[c] = ends[c][1];
        memcpy(counts[c], count, sizeof counts[c]);
    }
}

static const uint32_t even[BINS] = {1, 1, 1, 1, 1, 1, 1, 1}, first[BINS] = {1000000, 0, 0, 0, 0, 0, 0, 1},
                      none[BINS];

static struct i4q_range find(enum i4q_range_rule rule, unsigned bits, bool half, const float *factors)
{
    const struct i4q_range_choice choice = {rule, bits, half};
    struct i4q_range range;
    assert_true(i4q_range_find(&histogram, factors, &choice, &range));
    assert_int_equal(range.bits, bits);
    return range;
}

static void all_values_are_taken_in(void **state)
{
    spread(2, (const float[][2]){{-1, 2}, {0, 14}}, even);
    struct i4q_range range = find(I4Q_RANGE_MINMAX, 4, false, NULL);
    assert_true(range.scale == 1 && range.zero == 1);
    spread(1, (const float[][2]){{3, 5}}, even);
    range = find(I4Q_RANGE_MINMAX, 8, false, NULL);
    assert_true(range.scale == 5.0f / 255 && range.zero == 0);
    spread(1, (const float[][2]){{-5, -3}}, even);
    range = find(I4Q_RANGE_MINMAX, 8, false, NULL);
    assert_true(range.scale == 5.0f / 255 && range.zero == 255);
}

static void few_values_at_the_ends_are_cut(void **state)
{
    spread(1, (const float[][2]){{0, 8}}, first);
    assert_true(find(I4Q_RANGE_PERCENTILE, 8, false, NULL).scale < 0.55f / 255);
    assert_true(find(I4Q_RANGE_MINMAX, 8, false, NULL).scale == 8.0f / 255);
    spread(1, (const float[][2]){{0, 8}}, even);
    assert_true(find(I4Q_RANGE_PERCENTILE, 8, false, NULL).scale > 7.4f / 255);
}

/* One value far from the others is worth less than finer steps for these, and the more so the lower the
 * power; of values that levels hit nothing is clipped. */
static void searches_clip_where_it_pays(void **state)
{
    spread(1, (const float[][2]){{0, 8}}, first);
    float mse = find(I4Q_RANGE_MSE, 4, false, NULL).scale, l24 = find(I4Q_RANGE_L24, 4, false, NULL).scale;
    assert_true(mse <= l24 && l24 < 8.0f / 15);
    assert_true(find(I4Q_RANGE_UNILATERAL, 4, false, NULL).scale < 8.0f / 15);
    assert_int_equal(find(I4Q_RANGE_L24, 4, false, NULL).zero, 0);
}

static void nothing_stands_for_zeros(void **state)
{
    static const enum i4q_range_rule rules[] = {I4Q_RANGE_L24, I4Q_RANGE_MSE, I4Q_RANGE_MINMAX,
                                                I4Q_RANGE_PERCENTILE, I4Q_RANGE_UNILATERAL};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        for (int counted = 0; counted < 2; counted++) {
            spread(1, (const float[][2]){{0, 0}}, counted ? even : none);
            struct i4q_range range = find(rules[i], 4, false, NULL);
            assert_true(range.scale == 1 && range.zero == 0);
            assert_true(i4q_range_loss(&histogram, NULL, &range) == 0);
        }
}

static void half_scales_are_numbers_of_binary16(void **state)
{
    spread(1, (const float[][2]){{0, 1}}, even);
    float scale = find(I4Q_RANGE_MINMAX, 8, true, NULL).scale;
    assert_true(scale == 0x1.01p-8f || scale == 0x1.010p-8f);
    spread(1, (const float[][2]){{0, 0x1p-20f}}, even);
    assert_true(find(I4Q_RANGE_MINMAX, 8, true, NULL).scale == 0x1p-24f);
}

/* Channels that differ only by a factor come to be the same. */
static void factors_make_channels_alike(void **state)
{
    float factors[CHANNELS];
    spread(3, (const float[][2]){{0, 1}, {0, 2}, {0, 4}}, even);
    assert_true(i4q_range_factors(&histogram, 0, factors));
    for (size_t c = 0; c < 3; c++)
        assert_true(fabsf(factors[c] - (float)(1 << c) / 2) < 1e-6f);
    assert_true(fabsf(find(I4Q_RANGE_MINMAX, 4, false, factors).scale - 2.0f / 15) < 1e-6f);
    assert_true(i4q_range_factors(&histogram, 2, factors));
    assert_true(fabsf(factors[2] - powf(2, 0.25f)) < 1e-6f);
}

static void factors_are_bounded(void **state)
{
    float factors[CHANNELS];
    spread(4, (const float[][2]){{0, 1e-20f}, {0, 1}, {0, 1e20f}, {0, 0}}, even);
    assert_true(i4q_range_factors(&histogram, 0, factors));
    assert_true(factors[0] == 1.0f / 16 && factors[2] == 16 && factors[3] == 1);
    assert_true(fabsf(factors[1] - 1) < 1e-5f);
}

static void shifts_are_those_of_the_mean(void **state)
{
    const struct i4q_range range = {1, 0, 4};
    spread(1, (const float[][2]){{0, 1}}, even); /* 1/16, 3/16 ... 15/16: the half below 1/2 becomes 0 */
    assert_true(i4q_range_shift(&histogram, NULL, 0, &range) == 0);
    const float factor = 0.25f; /* up to 4: only codes of halves matter, and their errors cancel */
    assert_true(fabs(i4q_range_shift(&histogram, &factor, 0, &range)) < 0.126);
    spread(1, (const float[][2]){{20, 28}}, even); /* beyond 15 */
    assert_true(i4q_range_shift(&histogram, NULL, 0, &range) == 15 - 24);
    assert_true(i4q_range_loss(&histogram, NULL, &range) == sqrt(BINS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_values_are_taken_in),
        cmocka_unit_test(few_values_at_the_ends_are_cut),
        cmocka_unit_test(searches_clip_where_it_pays),
        cmocka_unit_test(nothing_stands_for_zeros),
        cmocka_unit_test(half_scales_are_numbers_of_binary16),
        cmocka_unit_test(factors_make_channels_alike),
        cmocka_unit_test(factors_are_bounded),
        cmocka_unit_test(shifts_are_those_of_the_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "quantize/job.h"

static const struct i4q_method absmax = {"", I4Q_SCALE_ABSMAX, false, I4Q_ROUND_NEAREST, false},
                               symmetric = {"", I4Q_SCALE_SIGNED, false, I4Q_ROUND_NEAREST, false},
                               range = {"", I4Q_SCALE_RANGE, true, I4Q_ROUND_NEAREST, false};

static void every_format_is_sound(void **state)
{
    for (const struct i4q_format *format = i4q_formats; format->name; format++) {
        assert_int_equal(format->code_max - format->code_min, (1 << format->bits) - 1);
        assert_true(format->zero - format->qmax >= format->code_min);
        assert_true(format->zero + format->qmax <= format->code_max);
        assert_ptr_equal(i4q_format_find(format->name), format);
        assert_true(!format->packed || i4q_format_packed(format->bits) == format);
    }
    assert_null(i4q_format_find("int5"));
}

static void codes_are_loaded_as_they_are_stored(void **state)
{
    for (const struct i4q_format *format = i4q_formats; format->name; format++) {
        uint8_t payload[256] = {0};
        size_t n = 0;
        for (int code = format->code_min; code <= format->code_max; code++)
            i4q_format_store(format, payload, n++, code);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(i4q_format_load(format, payload, i), format->code_min + (int)i);
    }
}

static void scales_of_each_choice(void **state)
{
    const struct i4q_format *int4 = i4q_format_find("int4"), *uint4 = i4q_format_find("uint4");
    const struct i4q_extent extent = {.absmax = 4, .min = -4, .max = 3.5f};
    struct i4q_grid grid = i4q_grid_choose(int4, &absmax, false, &extent);
    assert_true(grid.scale == 4.0f / 7 && grid.zero == 0 && grid.low == -7 && grid.high == 7);
    grid = i4q_grid_choose(int4, &symmetric, false, &extent);
    assert_true(grid.scale == 0.5f && grid.zero == 0 && grid.low == -8 && grid.high == 7);
    grid = i4q_grid_choose(uint4, &range, false, &extent);
    assert_true(grid.scale == 0.5f && grid.zero == 8 && grid.low == 0 && grid.high == 15);
}

static void scales_are_never_zero(void **state)
{
    const struct i4q_extent nothing = {0}, tiny = {.absmax = 0x1p-149f, .max = 0x1p-149f};
    assert_true(i4q_grid_choose(i4q_formats, &absmax, false, &nothing).scale == 1);
    assert_true(i4q_grid_choose(i4q_formats, &absmax, false, &tiny).scale == 1);
    assert_true(i4q_grid_choose(i4q_formats, &absmax, true, &nothing).scale == 1);
    assert_true(i4q_grid_choose(i4q_formats, &absmax, true, &tiny).scale == 0x1p-24f);
}

static void clipped_weights_are_beyond_half_a_step(void **state)
{
    static const float weights[] = {7.4f, 7.6f, -7.4f, -7.6f, 100, 0};
    const struct i4q_grid grid = {.scale = 1, .low = -7, .high = 7};
    assert_int_equal(i4q_grid_clipped(&grid, weights, 6), 3);
}

static void a_job_without_buffers_has_sizes(void **state)
{
    const struct i4q_quantize_job job = {.format = i4q_format_find("packed3"),
                                         .outer = 1,
                                         .channels = 3,
                                         .inner = 10,
                                         .block = 4,
                                         .half = true,
                                         .asymmetric = true};
    assert_int_equal(i4q_job_count(&job), 30);
    assert_int_equal(i4q_job_blocks(&job), 3);
    assert_int_equal(i4q_job_scales(&job), 9);
    assert_int_equal(i4q_job_code_bytes(&job), 12);  /* 90 bits */
    assert_int_equal(i4q_job_scale_bytes(&job), 18); /* FLOAT16 */
    assert_int_equal(i4q_job_zero_bytes(&job), 4);   /* 27 bits */
}

static void grids_come_back_from_the_buffers(void **state)
{
    float scales[4];
    uint8_t zeros[4] = {0};
    const struct i4q_quantize_job job = {.format = i4q_format_find("int4"),
                                         .outer = 1,
                                         .channels = 4,
                                         .inner = 1,
                                         .asymmetric = true,
                                         .method = &range,
                                         .scales = scales,
                                         .zero_points = zeros};
    for (int i = 0; i < 4; i++) {
        const struct i4q_grid grid = i4q_grid_make(job.format, job.method, 0.5f + (float)i, i * 5 - 8);
        i4q_job_store_grid(&job, (size_t)i, &grid);
    }
    for (int i = 0; i < 4; i++) {
        struct i4q_grid grid = i4q_job_load_grid(&job, (size_t)i);
        assert_true(grid.scale == 0.5f + (float)i && grid.zero == i * 5 - 8);
        assert_int_equal(i4q_job_zero_point(&job, (size_t)i), i * 5 - 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_sound),
        cmocka_unit_test(codes_are_loaded_as_they_are_stored),
        cmocka_unit_test(scales_of_each_choice),
        cmocka_unit_test(scales_are_never_zero),
        cmocka_unit_test(clipped_weights_are_beyond_half_a_step),
        cmocka_unit_test(a_job_without_buffers_has_sizes),
        cmocka_unit_test(grids_come_back_from_the_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Every kernel set against the scalar one, and the scalar one against numbers worked out by hand. */
#include "testing.h"

#include "kernel_checks.h"

#include <math.h>

static const struct i4q_kernels *scalar(void)
{
    struct i4q_error error = {0};
    return i4q_kernels_choose("scalar", &error);
}

static void every_set_equals_scalar(void **state)
{
    (void)state;
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++) {
        if (!i4q_kernels_supported(*set)) {
            print_message("skipped: this CPU cannot run %s\n", (*set)->name);
            continue;
        }
        char message[256];
        if (!i4q_check_kernels(*set, message, sizeof message))
            fail_msg("%s", message);
    }
}

static void scalar_quantizes_as_defined(void **state)
{
    (void)state;
    static const float weights[] = {0.5f,  1.5f,   2.5f,    -0.5f, -1.5f, 3.49f,
                                    3.51f, 100.0f, -100.0f, -0.0f, 6.5f};
    static const int8_t expected[] = {0, 2, 2, 0, -2, 3, 4, 7, -7, 0, 6}; /* ties go to the even code */
    int8_t codes[sizeof expected];
    const struct i4q_grid grid = {1.0f, 0, -7, 7}, unsigned_grid = {2.0f, 3, 0, 15};
    scalar()->quantize(weights, sizeof expected, &grid, codes);
    assert_memory_equal(codes, expected, sizeof expected);
    /* rounded before the zero point is added: ties at 0.25, 0.75, 1.25 steps are none */
    static const int8_t shifted[] = {3, 4, 4, 3, 2, 5, 5, 15, 0, 3, 6};
    scalar()->quantize(weights, sizeof shifted, &unsigned_grid, codes);
    assert_memory_equal(codes, shifted, sizeof shifted);
}

static void scalar_packs_low_nibble_first(void **state)
{
    (void)state;
    static const int8_t codes[] = {1, -1, 7, -8, -3};
    uint8_t packed[4] = {0xee, 0xee, 0xee, 0xee};
    int8_t back[5];
    scalar()->pack4(codes, 5, packed);
    assert_memory_equal(packed, "\xf1\x87\x0d\xee", 4);
    scalar()->unpack4(packed, 5, back);
    assert_memory_equal(back, codes, 5);
}

static void scalar_packs_streams_low_bit_first(void **state)
{
    (void)state;
    static const int8_t codes[] = {1, -1, 2, -4, 3}; /* 001 111 010 100 011, last code first */
    uint8_t packed[3] = {0xee, 0xee, 0xee};
    int8_t back[5];
    scalar()->pack(codes, 5, 3, packed);
    assert_memory_equal(packed, "\xb9\x38\xee", 3);
    scalar()->unpack(packed, 5, 3, back);
    assert_memory_equal(back, codes, 5);
}

static void scalar_decodes_and_measures(void **state)
{
    (void)state;
    static const int8_t codes[] = {0, 8, 15};
    static const float weights[] = {1.0f, -2.0f, 3.0f};
    float decoded[3];
    scalar()->dequantize(codes, 3, 0.5f, 8, decoded);
    assert_true(decoded[0] == -4.0f && decoded[1] == 0.0f && decoded[2] == 3.5f);
    struct i4q_error_sums sums = {0};
    scalar()->measure(weights, decoded, 3, i4q_error_unit(3), &sums);
    assert_true(sums.signal == 14 && sums.noise == 29.25 && sums.drift == 2.5 && sums.max_error == 5.0f);
    assert_true(scalar()->absmax(weights, 3) == 3.0f);
    assert_true(scalar()->absmax(weights, 0) == 0.0f);
}

/* The unit keeps squares from overflow and underflow. */
static void errors_have_any_magnitude(void **state)
{
    (void)state;
    static const float magnitudes[] = {0x1p-149f, 0x1p-100f, 1.0f, 0x1p100f, 0x1.fp127f};
    for (size_t i = 0; i < sizeof magnitudes / sizeof *magnitudes; i++) {
        const float weights[] = {magnitudes[i], -magnitudes[i]}, zeros[2] = {0};
        struct i4q_error_sums sums = {0};
        scalar()->measure(weights, zeros, 2, i4q_error_unit(magnitudes[i]), &sums);
        assert_true(sums.signal == 2 * (double)magnitudes[i] * magnitudes[i]);
        assert_true(i4q_error_sqnr(&sums) == 0 && sums.max_error == magnitudes[i]);
    }
    struct i4q_error_sums none = {0}, exact = {.signal = 1};
    assert_true(isnan(i4q_error_sqnr(&none)) && isinf(i4q_error_sqnr(&exact)));
}

static void sets_are_chosen_by_name(void **state)
{
    (void)state;
    struct i4q_error error = {0};
    assert_string_equal(i4q_kernels_choose("scalar", &error)->name, "scalar");
    const struct i4q_kernels *best = i4q_kernels_choose(NULL, &error);
    assert_true(best && i4q_kernels_supported(best));
    assert_ptr_equal(i4q_kernels_choose("", &error), best);
    assert_null(i4q_kernels_choose("avx1024", &error));
    assert_failed(error, I4Q_USAGE, "unknown kernel set 'avx1024' (this build has ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_equals_scalar),       cmocka_unit_test(scalar_quantizes_as_defined),
        cmocka_unit_test(scalar_packs_low_nibble_first), cmocka_unit_test(scalar_packs_streams_low_bit_first),
        cmocka_unit_test(scalar_decodes_and_measures),   cmocka_unit_test(sets_are_chosen_by_name),
        cmocka_unit_test(errors_have_any_magnitude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The scalar set against the formulas, every other set against the scalar one, and what prepare refuses. */
#include "testing.h"

#include "conv_checks.h"

#include <math.h>

enum { RANDOM_CASES = 90 };

static const struct i4q_conv_kernels *scalar(void)
{
    struct i4q_error error = {0};
    return i4q_conv_choose("scalar", &error);
}

static void expect_formulas(const struct conv_case *conv)
{
    char text[400];
    struct i4q_error error = {0};
    struct conv_numbers numbers = conv_make(conv);
    float *y = conv_compute(&numbers, scalar(), 1, &error);
    double *expected = calloc(numbers.outputs + 1, sizeof *expected);
    double *tolerance = calloc(numbers.outputs + 1, sizeof *tolerance);
    conv_describe(conv, text, sizeof text);
    if (!y || !expected || !tolerance)
        fail_msg("%s: %s", text, error.message);
    conv_reference(&numbers, expected, tolerance);
    for (size_t i = 0; i < numbers.outputs; i++)
        if (!(fabs((double)y[i] - expected[i]) <= tolerance[i]))
            fail_msg("%s: number %zu is %g instead of %g", text, i, (double)y[i], expected[i]);
    free(y);
    free(expected);
    free(tolerance);
    conv_unmake(&numbers);
}

static void scalar_computes_the_formulas(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CONV_LISTED + RANDOM_CASES / 3; i++) {
        struct conv_case conv = conv_case_at(i);
        if (!conv.has_odd_numbers) /* of which the formulas say nothing */
            expect_formulas(&conv);
    }
}

/* An output whose input has a NaN or infinity is what level 0 makes of it, any other what it is without. */
static void expect_level_0(const struct conv_case *odd)
{
    struct conv_case plain = *odd, floats = *odd;
    plain.has_odd_numbers = false;
    floats.is_float = true;
    const struct conv_case *cases[] = {odd, &plain, &floats};
    float *y[3];
    struct conv_numbers numbers[3];
    struct i4q_error error = {0};
    for (size_t i = 0; i < 3; i++) {
        numbers[i] = conv_make(cases[i]);
        y[i] = conv_compute(&numbers[i], scalar(), 1, &error);
        assert_non_null(y[i]);
    }
    size_t outputs = odd->shape.outputs, pixels = numbers[0].outputs / outputs;
    bool depthwise = odd->shape.groups == odd->shape.channels;
    for (size_t o = 0; o < outputs; o++) {
        bool is_odd = !depthwise || o / (outputs / odd->shape.channels) % 2 == 0;
        assert_memory_equal(y[0] + o * pixels, y[is_odd ? 2 : 1] + o * pixels, pixels * sizeof(float));
    }
    for (size_t i = 0; i < 3; i++) {
        free(y[i]);
        conv_unmake(&numbers[i]);
    }
}

static void what_is_no_number_comes_from_level_0(void **state)
{
    (void)state;
    size_t count = 0;
    for (uint32_t i = 0; i < CONV_LISTED; i++) {
        struct conv_case conv = conv_case_at(i);
        if (!conv.has_odd_numbers || conv.input_scale > 0)
            continue;
        expect_level_0(&conv);
        count++;
    }
    assert_int_equal(count, 3);
}

static void every_set_equals_scalar(void **state)
{
    (void)state;
    for (const struct i4q_conv_kernels *const *set = i4q_conv_sets; *set; set++) {
        if (!i4q_conv_supported(*set)) {
            print_message("skipped: this CPU cannot run %s\n", i4q_conv_set_name(*set));
            continue;
        }
        for (uint32_t i = 0; i < CONV_LISTED + RANDOM_CASES; i++) {
            char message[700];
            struct conv_case conv = conv_case_at(i);
            if (!conv_check(&conv, *set, message, sizeof message))
                fail_msg("%s", message);
        }
    }
}

/* ---- what is refused, and what is held */

struct refusal {
    const char *message;
    void (*spoil)(struct conv_numbers *numbers);
};

static void spoil_groups(struct conv_numbers *numbers)
{
    numbers->spec.shape.groups = 5;
}

static void spoil_stride(struct conv_numbers *numbers)
{
    numbers->spec.shape.strides[1] = 0;
}

static void spoil_kernel(struct conv_numbers *numbers)
{
    numbers->spec.shape.kernel[0] = SIZE_MAX / 2;
}

static void spoil_channels(struct conv_numbers *numbers)
{
    numbers->spec.shape.channels = SIZE_MAX / 8;
}

static void spoil_bits(struct conv_numbers *numbers)
{
    numbers->spec.weights.bits = 9;
}

static void spoil_level(struct conv_numbers *numbers)
{
    numbers->spec.level = 3;
}

static void spoil_scale(struct conv_numbers *numbers)
{
    numbers->scales[3] = INFINITY;
}

static void spoil_input(struct conv_numbers *numbers)
{
    numbers->spec.input_scale = -1;
}

static void prepare_refuses(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"32 channels and 24 outputs do not fall into 5 groups", spoil_groups},
        {"kernel, stride and dilation must be at least 1", spoil_stride},
        {"kernel, stride, dilation or padding is too large", spoil_kernel},
        {"there are more weights than memory can hold", spoil_channels},
        {"codes of 9 bits are not supported", spoil_bits},
        {"level 3 is not known", spoil_level},
        {"scale 3 is not finite", spoil_scale},
        {"the scale of the input, -1, is no positive number", spoil_input},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct conv_case conv = conv_case_at(4);
        struct conv_numbers numbers = conv_make(&conv);
        struct i4q_error error = {0};
        refusals[i].spoil(&numbers);
        assert_null(i4q_conv_prepare(&numbers.spec, scalar(), &error));
        assert_failed(error, I4Q_MODEL, refusals[i].message);
        conv_unmake(&numbers);
    }
}

/* 8 bits times 8 bits, 70000 times, is more than an int32_t. */
static void sums_that_could_overflow_are_refused(void **state)
{
    (void)state;
    enum { CHANNELS = 70000 };
    struct i4q_error error = {0};
    const float scale = 1;
    uint8_t *codes = malloc(CHANNELS);
    struct i4q_conv_spec spec = {
        .shape = {CHANNELS, 1, 1, {1, 1}, {1, 1}, {1, 1}, {0}},
        .weights = {.bits = 8, .codes = codes, .scales = &scale},
        .level = 4,
    };
    assert_non_null(codes);
    memset(codes, 255, CHANNELS);
    assert_null(i4q_conv_prepare(&spec, scalar(), &error));
    assert_failed(error, I4Q_MODEL, "sums of 70000 products could overflow 32 bits");
    spec.level = 0;
    error = (struct i4q_error){0};
    struct i4q_conv *conv = i4q_conv_prepare(&spec, scalar(), &error);
    assert_non_null(conv);
    i4q_conv_free(conv);
    free(codes);
}

static void kernels_larger_than_the_input_are_refused(void **state)
{
    (void)state;
    struct conv_case case_ = conv_case_at(4);
    struct conv_numbers numbers = conv_make(&case_);
    struct i4q_error error = {0};
    size_t out[2];
    numbers.spec.shape.pads[0] = numbers.spec.shape.pads[2] = 0;
    struct i4q_conv *conv = i4q_conv_prepare(&numbers.spec, scalar(), &error);
    assert_non_null(conv);
    assert_false(i4q_conv_output(conv, 2, 9, out, &error));
    assert_failed(error, I4Q_MODEL, "a kernel of 3 x 3 does not fit into an input of 2 x 9");
    error = (struct i4q_error){0};
    assert_false(i4q_conv_output(conv, INT32_MAX, INT32_MAX, out, &error));
    assert_failed(error, I4Q_MODEL, "is too large");
    i4q_conv_free(conv);
    conv_unmake(&numbers);
}

static void four_bits_hold_little_more_than_half_a_byte(void **state)
{
    (void)state;
    struct conv_case case_ = {.shape = {256, 256, 1, {3, 3}, {1, 1}, {1, 1}, {0}}, .bits = 4, .seed = 1};
    struct conv_numbers numbers = conv_make(&case_);
    for (const struct i4q_conv_kernels *const *set = i4q_conv_sets; *set; set++) {
        struct i4q_error error = {0};
        struct i4q_conv *conv = i4q_conv_prepare(&numbers.spec, *set, &error);
        assert_non_null(conv);
        assert_true(i4q_conv_held(conv) < (size_t)256 * 256 * 9 * 6 / 10);
        i4q_conv_free(conv);
    }
    conv_unmake(&numbers);
}

static void sets_are_chosen_by_name(void **state)
{
    (void)state;
    struct i4q_error error = {0};
    assert_string_equal(i4q_conv_set_name(scalar()), "scalar");
    assert_true(i4q_conv_supported(i4q_conv_choose(NULL, &error)));
    assert_ptr_equal(i4q_conv_choose("", &error), i4q_conv_choose(NULL, &error));
    assert_null(i4q_conv_choose("avx1024", &error));
    assert_failed(error, I4Q_USAGE, "unknown kernel set 'avx1024' for Convs (this build has ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_computes_the_formulas),
        cmocka_unit_test(what_is_no_number_comes_from_level_0),
        cmocka_unit_test(every_set_equals_scalar),
        cmocka_unit_test(prepare_refuses),
        cmocka_unit_test(sums_that_could_overflow_are_refused),
        cmocka_unit_test(kernels_larger_than_the_input_are_refused),
        cmocka_unit_test(four_bits_hold_little_more_than_half_a_byte),
        cmocka_unit_test(sets_are_chosen_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

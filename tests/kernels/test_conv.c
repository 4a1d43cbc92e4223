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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_computes_the_formulas),
        cmocka_unit_test(what_is_no_number_comes_from_level_0),
        cmocka_unit_test(every_set_equals_scalar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

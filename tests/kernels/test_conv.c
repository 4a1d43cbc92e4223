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
        expect_formulas(&conv);
    }
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
        cmocka_unit_test(every_set_equals_scalar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

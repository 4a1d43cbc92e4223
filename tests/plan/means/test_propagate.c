// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/convs.h"
#include "plan/means/propagate.h"

#include <math.h>

static const double IMAGE_MEAN = 0.44, IMAGE_VARIANCE = 0.075;

static struct convs convs;
static const float *means[TEST_CONVS];

static int teardown(void **state)
{
    convs_free(&convs);
    return 0;
}

static void propagate(const struct test_conv *specs, size_t count)
{
    memset(means, 0, sizeof means);
    convs_load(&convs, specs, count);
    assert_true(i4q_propagate_means(&convs.facts, 2, means));
}

#define assert_near(found, wanted) assert_true(fabs((double)(found) - (wanted)) < 1e-4)

/* Of max(0, x) for a normal x. */
static double mean_behind_relu(double mean, double sigma)
{
    double z = mean / sigma;
    return mean * erfc(-z / sqrt(2)) / 2 + sigma * exp(-z * z / 2) / sqrt(2 * acos(-1));
}

static const float half[] = {0.5f}, minus[] = {-1}, ones[] = {1, 1, 1, 1};

static void images_have_the_mean_of_photographs(void **state)
{
    static const struct test_conv specs[] = {{"a", "w", {2, 3, 2, 2}, NULL, false}};
    propagate(specs, 1);
    for (size_t i = 0; i < 12; i++)
        assert_near(means[0][i], IMAGE_MEAN);
}

static void means_pass_through_a_conv_and_its_activation(void **state)
{
    static const struct test_conv specs[] = {
        {"a", "w", {1, 1, 1, 1}, half, true, NULL, "Relu", NULL},
        {"b", "v", {1, 1, 1, 1}, half, false, "z_a", NULL, NULL},
    };
    propagate(specs, 2);
    assert_near(means[1][0], mean_behind_relu(0.5 * IMAGE_MEAN, 0.5 * sqrt(IMAGE_VARIANCE)));
}

/* Batch normalization, folded by now, has centred it. */
static void what_only_convs_read_is_centred(void **state)
{
    static const struct test_conv specs[] = {
        {"a", "w", {1, 1, 1, 1}, half, false, NULL, NULL, NULL},
        {"b", "v", {1, 1, 1, 1}, half, false, "y_a", NULL, NULL},
    };
    propagate(specs, 2);
    assert_near(means[0][0], IMAGE_MEAN);
    assert_near(means[1][0], 0);
}

static void sums_add_and_copies_copy(void **state)
{
    static const struct test_conv specs[] = {
        {"a", "w", {1, 1, 1, 1}, half, true, NULL, "Identity", NULL},
        {"b", "v", {1, 1, 1, 1}, minus, true, NULL, "Add", "z_a"},
        {"c", "u", {1, 1, 1, 1}, half, false, "z_b", NULL, NULL},
    };
    propagate(specs, 3);
    assert_near(means[2][0], (0.5 - 1) * IMAGE_MEAN);
}

static void groups_have_means_of_their_own(void **state)
{
    static const struct test_conv specs[] = {
        {"a", "w", {2, 2, 1, 1}, ones, true, NULL, "Relu", NULL},
        {"b", "v", {2, 1, 1, 2}, ones, false, "z_a", NULL, NULL}, /* depthwise, but for the attribute */
    };
    propagate(specs, 2);
    assert_null(means[1]); /* two groups are seen, the node says one: nothing is known */
}

static void behind_other_operators_nothing_is_known(void **state)
{
    static const struct test_conv specs[] = {
        {"a", "w", {1, 1, 1, 1}, half, true, NULL, "Erf", NULL},
        {"b", "v", {1, 1, 1, 1}, half, false, "z_a", NULL, NULL},
    };
    propagate(specs, 2);
    assert_non_null(means[0]);
    assert_null(means[1]);
}

static void weights_of_several_convs_have_none(void **state)
{
    static const struct test_conv specs[] = {
        {"a", "w", {1, 1, 1, 1}, half, true, NULL, NULL, NULL},
        {"b", "w", {1, 1, 1, 1}, half, true, NULL, NULL, NULL},
    };
    propagate(specs, 2);
    assert_null(means[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(images_have_the_mean_of_photographs, teardown),
        cmocka_unit_test_teardown(means_pass_through_a_conv_and_its_activation, teardown),
        cmocka_unit_test_teardown(what_only_convs_read_is_centred, teardown),
        cmocka_unit_test_teardown(sums_add_and_copies_copy, teardown),
        cmocka_unit_test_teardown(groups_have_means_of_their_own, teardown),
        cmocka_unit_test_teardown(behind_other_operators_nothing_is_known, teardown),
        cmocka_unit_test_teardown(weights_of_several_convs_have_none, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/convs.h"
#include "plan/fused_ops.h"

#include <math.h>

/* ---- nodes that ONNX Runtime does not compute alike */

/* A node with these attributes, each of one integer, or of two. */
static bool fits(const char *op_type, size_t outputs, const char *const *names, const int64_t *numbers)
{
    Onnx__NodeProto proto;
    Onnx__AttributeProto attributes[3], *list[3];
    int64_t pairs[3][2];
    onnx__node_proto__init(&proto);
    proto.op_type = (char *)op_type;
    proto.n_output = outputs;
    proto.attribute = list;
    for (; names[proto.n_attribute]; proto.n_attribute++) {
        size_t i = proto.n_attribute;
        list[i] = &attributes[i];
        onnx__attribute_proto__init(list[i]);
        pairs[i][0] = pairs[i][1] = list[i]->i = numbers[i];
        list[i]->name = (char *)names[i];
        list[i]->ints = pairs[i];
        list[i]->n_ints = 2;
    }
    return i4q_fused_op_fits(&(struct i4q_node){.proto = &proto});
}

static void pools_fit_as_far_as_their_integer_forms_go(void **state)
{
    static const char *const none[] = {NULL}, *const dilated[] = {"dilations", NULL},
                             *const padded[] = {"ceil_mode", "count_include_pad", NULL};
    assert_true(fits("AveragePool", 1, none, NULL));
    assert_true(fits("AveragePool", 1, dilated, (int64_t[]){1}));
    assert_false(fits("AveragePool", 1, dilated, (int64_t[]){2}));
    assert_true(fits("AveragePool", 1, padded, (int64_t[]){1, 0}));
    assert_true(fits("AveragePool", 1, padded, (int64_t[]){0, 1}));
    assert_false(fits("AveragePool", 1, padded, (int64_t[]){1, 1}));
    assert_true(fits("MaxPool", 1, dilated, (int64_t[]){2}));
    assert_false(fits("MaxPool", 2, none, NULL));
    assert_true(fits("Softmax", 2, none, NULL));
    assert_true(i4q_fused_op_fits(NULL));
}

/* ---- activations behind a value */

static struct convs convs;

static int teardown(void **state)
{
    convs_free(&convs);
    return 0;
}

static i4q_range_behind_fn *behind(const char *operator, double * parameter)
{
    const struct test_conv specs[] = {{"first", "w0", {4, 3, 1, 1}, NULL, false, NULL, operator},
                                       {
                                           "last",
                                           "w1",
                                           {4, 4, 1, 1},
                                           NULL,
                                           false,
                                           operator? "z_first" : "y_first" },
    };
    convs_load(&convs, specs, 2);
    return i4q_fused_behind(i4q_scope_resolve(convs.model.graph.scopes, "y_first"), parameter);
}

static void errors_count_behind_hard_swish(void **state)
{
    double parameter = 0;
    i4q_range_behind_fn *f = behind("HardSwish", &parameter);
    assert_non_null(f);
    assert_true(f(-4, parameter) == 0 && f(4, parameter) == 4 && f(0, parameter) == 0);
    assert_true(fabs(f(-1.5, parameter) + 0.375) < 1e-12);
}

static void errors_count_behind_leaky_relu(void **state)
{
    double parameter = 0;
    i4q_range_behind_fn *f = behind("LeakyRelu", &parameter);
    assert_non_null(f);
    assert_true(f(3, parameter) == 3 && f(-3, parameter) == -3 * 0.01);
}

static void other_readers_take_values_as_they_are(void **state)
{
    double parameter = 0;
    assert_null(behind("HardSigmoid", &parameter));
    convs_free(&convs);
    assert_null(behind(NULL, &parameter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_fit_as_far_as_their_integer_forms_go),
        cmocka_unit_test_teardown(errors_count_behind_hard_swish, teardown),
        cmocka_unit_test_teardown(errors_count_behind_leaky_relu, teardown),
        cmocka_unit_test_teardown(other_readers_take_values_as_they_are, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

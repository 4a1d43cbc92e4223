// SPDX-License-Identifier: Apache-2.0
/* The tables of the upgrade; what the rules do is tested on whole models, in acceptance/test_opset.py. */
#include "testing.h"

#include "onnx/opset/names.h"
#include "onnx/opset/rules.h"
#include "onnx/opset/upgrade.h"

static void rules_stand_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < i4q_opset_n_rules; i++) {
        const struct i4q_opset_rule *rule = &i4q_opset_rules[i];
        assert_true(rule->version > I4Q_OPSET_MIN && rule->version <= I4Q_OPSET_MAX);
        if (i)
            assert_true(rule->version >= i4q_opset_rules[i - 1].version);
        if (!i4q_opset_find(rule->op_type))
            fail_msg("%s is not in the list of operators", rule->op_type);
        assert_true(rule->earlier[0] > 0);
        for (int e = 0; e < 4 && rule->earlier[e]; e++) {
            assert_true(rule->earlier[e] < rule->version);
            if (e)
                assert_true(rule->earlier[e] > rule->earlier[e - 1]);
        }
    }
}

static void operators_are_known_by_name(void **state)
{
    (void)state;
    static const char *const known[] = {"Abs", "Conv", "Upsample", "Xor", "LSTM", "Where"};
    static const char *const unknown[] = {"", "conv", "Convolution", "Zzz", "QAttention"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_non_null(i4q_opset_find(known[i]));
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_null(i4q_opset_find(unknown[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_stand_in_order),
        cmocka_unit_test(operators_are_known_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

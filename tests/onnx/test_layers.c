// SPDX-License-Identifier: Apache-2.0
/* Which nodes have weights, along which axis, and where these come from. */
#include "testing.h"

#include "onnx/layers.h"
#include "onnx/maker.h"

static struct maker maker;
static struct i4q_conv *convs;
static size_t count;

static const int64_t KERNEL[4] = {4, 3, 1, 1}, MATRIX[4] = {3, 4};
static const float NUMBERS[12] = {1};

static int setup(void **state)
{
    maker_open(&maker, 17);
    maker_input(&maker, "x", 4);
    return 0;
}

static int teardown(void **state)
{
    maker_close(&maker);
    return 0;
}

static void find(unsigned ops)
{
    maker_load(&maker);
    if (!i4q_layers_find(&maker.model, ops, &convs, &count, &maker.error))
        fail_msg("%s", maker.error.message);
}

static void names_and_sets_of_operators(void **state)
{
    static const char *const words[] = {"Conv", "ConvTranspose", "Gemm", "MatMul"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(i4q_conv_op_word(i), words[i]);
        assert_int_not_equal(i4q_conv_op_bits(words[i]) & i4q_ops_all(), 0);
    }
    assert_null(i4q_conv_op_word(4));
    assert_int_equal(i4q_conv_op_bits("Conv"), i4q_ops_conv());
    assert_int_equal(i4q_conv_op_bits("ConvInteger"), 0); /* it takes integers only */
    assert_int_equal(i4q_conv_op_bits("FusedConv"), 0);
    assert_int_equal(i4q_conv_op_bits("conv"), 0);
    /* Foreign Convs are told of only beside Convs, integers always. */
    unsigned gemm = i4q_conv_op_bits("Gemm");
    assert_int_equal(i4q_ops_beside(gemm) & ~i4q_ops_beside(i4q_ops_conv()), 0);
    assert_int_not_equal(i4q_ops_beside(i4q_ops_conv()) & ~i4q_ops_beside(gemm), 0);
    assert_int_equal(i4q_ops_beside(i4q_ops_all()) & (gemm | i4q_ops_conv()), 0);
}

static void sources_of_weights(void **state)
{
    static const enum i4q_source sources[] = {I4Q_SOURCE_STORED, I4Q_SOURCE_INPUT, I4Q_SOURCE_COMPUTED,
                                              I4Q_SOURCE_STORED};
    maker_floats(&maker, "w", KERNEL, NUMBERS);
    maker_input(&maker, "given", 4);
    maker_node(&maker, "Neg", "w", "made");
    maker_node(&maker, "Identity", "w", "copied");
    maker_node(&maker, "Identity", "copied", "again");
    maker_node(&maker, "Conv", "x w", "a");
    maker_node(&maker, "Conv", "x given", "b");
    maker_node(&maker, "Conv", "x made", "c");
    maker_node(&maker, "Conv", "x again", "d");
    find(i4q_ops_all());
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(convs[i].source, sources[i]);
        assert_int_equal(convs[i].tensor != NULL, sources[i] == I4Q_SOURCE_STORED);
        assert_int_equal(convs[i].node->proto->output[0][0], "abcd"[i]); /* in file order */
    }
    assert_ptr_equal(convs[3].weight, maker_value(&maker, "w"));
}

/* Chains of more than 64 copies are not followed; nobody writes such. */
static void long_chains_of_copies_end(void **state)
{
    enum { LINKS = 65 };
    char from[8] = "n0", to[8];
    maker_floats(&maker, "n0", KERNEL, NUMBERS);
    for (int i = 1; i <= LINKS; i++) {
        snprintf(to, sizeof to, "n%d", i);
        maker_node(&maker, "Identity", from, to);
        memcpy(from, to, sizeof from);
    }
    maker_load(&maker);
    assert_ptr_equal(i4q_value_behind_identities(maker_value(&maker, "n64")), maker_value(&maker, "n0"));
    assert_ptr_equal(i4q_value_behind_identities(maker_value(&maker, "n65")), maker_value(&maker, "n1"));
}

static void channels_lie_along_the_axis_of_the_operator(void **state)
{
    maker_floats(&maker, "w", KERNEL, NUMBERS);
    maker_floats(&maker, "m", MATRIX, NUMBERS);
    maker_input(&maker, "v", 2);
    maker_node(&maker, "ConvTranspose", "x w", "a");
    maker_node(&maker, "Gemm", "v m", "b");
    maker_int(&maker, maker_node(&maker, "Gemm", "v m", "c"), "transB", 1);
    maker_int(&maker, maker_node(&maker, "Gemm", "v m", "d"), "transA", 1); /* of the other factor */
    maker_node(&maker, "MatMul", "v m", "e");
    maker_node(&maker, "MatMul", "m v", "f"); /* the weight is the first */
    maker_int(&maker, maker_node(&maker, "Gemm", "m v", "g"), "transA", 1);
    maker_int(&maker, maker_node(&maker, "Gemm", "v m", "i"), "transB", 0);
    maker_node(&maker, "MatMul", "v v", "h"); /* two activations */
    find(i4q_ops_all());
    static const size_t axes[] = {1, 1, 0, 1, 1, 0, 1, 1}, inputs[] = {1, 1, 1, 1, 1, 0, 0, 1};
    assert_int_equal(count, 8);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(convs[i].channel_axis, axes[i]);
        assert_int_equal(convs[i].op->weight_input, inputs[i]);
        assert_true(i4q_conv_reads_weight(i4q_ops_all(), convs[i].node->proto, inputs[i], axes[i]));
        assert_false(i4q_conv_reads_weight(i4q_ops_all(), convs[i].node->proto, inputs[i], 1 - axes[i]));
        assert_false(i4q_conv_reads_weight(i4q_ops_conv(), convs[i].node->proto, inputs[i], axes[i]));
    }
    find(i4q_conv_op_bits("MatMul"));
    assert_int_equal(count, 2);
}

static void foreign_convs_are_called_by_their_domain(void **state)
{
    char name[64];
    maker_floats(&maker, "w", KERNEL, NUMBERS);
    maker_node(&maker, "FusedConv", "x w", "a")->domain = (char *)"com.microsoft";
    maker_node(&maker, "FusedConv", "x x", "b")->domain = (char *)"com.microsoft"; /* without a weight */
    maker_node(&maker, "FusedConv", "x w", "c"); /* nobody's: the standard has none */
    maker_node(&maker, "Conv", "x w", "d");
    find(i4q_ops_all());
    assert_int_equal(count, 2);
    assert_string_equal(i4q_conv_op_name(&convs[0], name, sizeof name), "com.microsoft::FusedConv");
    assert_string_equal(i4q_conv_op_name(&convs[1], name, sizeof name), "Conv");
    assert_true(i4q_ops_have(i4q_ops_conv(), convs[1].op) && !i4q_ops_have(i4q_ops_conv(), convs[0].op));
}

static void calls_of_functions_are_no_convs(void **state)
{
    Onnx__FunctionProto function, *functions[] = {&function};
    Onnx__OperatorSetIdProto import, *imports[] = {&import};
    onnx__function_proto__init(&function);
    onnx__operator_set_id_proto__init(&import);
    import.domain = (char *)"local";
    import.has_version = true;
    import.version = 1;
    function.name = (char *)"FusedConv";
    function.domain = (char *)"local";
    function.opset_import = imports;
    function.n_opset_import = 1;
    maker.proto.functions = functions;
    maker.proto.n_functions = 1;
    maker_floats(&maker, "w", KERNEL, NUMBERS);
    maker_node(&maker, "FusedConv", "x w", "a")->domain = (char *)"local";
    find(i4q_ops_all());
    assert_int_equal(count, 0);
    function.domain = (char *)"other";
    find(i4q_ops_all());
    assert_int_equal(count, 1);
}

static void weights_that_are_missing_are_told(void **state)
{
    Onnx__NodeProto *node = maker_node(&maker, "Conv", "x", "y");
    maker_load(&maker);
    assert_false(i4q_layers_find(&maker.model, i4q_ops_conv(), &convs, &count, &maker.error));
    assert_failed(maker.error, I4Q_MODEL, "node 'y' (Conv): it has no weight");
    node->input[node->n_input++] = (char *)"nowhere";
    maker_load(&maker);
    assert_false(i4q_layers_find(&maker.model, i4q_ops_conv(), &convs, &count, &maker.error));
    assert_failed(maker.error, I4Q_MODEL, "node 'y' (Conv): nothing defines its weight 'nowhere'");
    maker_output(&maker, "nowhere", 4); /* a name, yet no value */
    maker_load(&maker);
    assert_false(i4q_layers_find(&maker.model, i4q_ops_conv(), &convs, &count, &maker.error));
}

static void a_model_without_convs_has_none(void **state)
{
    maker_node(&maker, "Relu", "x", "y");
    find(i4q_ops_all());
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sets_of_operators),
        cmocka_unit_test_setup_teardown(sources_of_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(long_chains_of_copies_end, setup, teardown),
        cmocka_unit_test_setup_teardown(channels_lie_along_the_axis_of_the_operator, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_convs_are_called_by_their_domain, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_of_functions_are_no_convs, setup, teardown),
        cmocka_unit_test_setup_teardown(weights_that_are_missing_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_model_without_convs_has_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

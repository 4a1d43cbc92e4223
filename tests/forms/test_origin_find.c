// SPDX-License-Identifier: Apache-2.0
/* Weights that stand for integers already: what the nodes before them tell, and what is wrong with them. */
#include "testing.h"

#include "forms/convs.h"
#include "forms/origin.h"
#include "onnx/dtype.h"
#include "onnx/maker.h"

#include <math.h>

static struct maker maker;
static const struct i4q_conv *conv;
static const struct i4q_origin *origin;

static const int64_t SHAPE[4] = {2, 3, 1, 1}, ONE[4] = {0}, CHANNELS[4] = {2}, COLUMN[4] = {2, 1, 1, 1},
                     ROW[4] = {1, 3, 1, 1}, BOTH[4] = {2, 3, 1, 1}, THREE[4] = {3};
static const float WEIGHTS[6] = {0.5f, -1, 0.25f, 1.75f, 0, -2}, SCALES[6] = {0.25f, 0.5f, 1, 2, 4, 8},
                   ZEROS[6] = {0}, FOUR = 4;
static const int8_t CODES[6] = {1, -2, 7, -8, 0, 3}, TIGHT = 7, LOOSE = -8;

static int setup(void **state)
{
    maker_open(&maker, 21);
    maker_input(&maker, "x", 4);
    maker_floats(&maker, "w", SHAPE, WEIGHTS);
    maker_floats(&maker, "s", COLUMN, SCALES);
    maker_floats(&maker, "z", ONE, ZEROS);
    maker_floats(&maker, "n", ONE, &FOUR);
    maker_floats(&maker, "s1", CHANNELS, SCALES);
    maker_bytes(&maker, "c", I4Q_TYPE(INT8), SHAPE, CODES);
    maker_bytes(&maker, "high", I4Q_TYPE(INT8), ONE, &TIGHT);
    maker_bytes(&maker, "low", I4Q_TYPE(INT8), ONE, &LOOSE);
    maker_node(&maker, "Conv", "x v", "y");
    return 0;
}

static int teardown(void **state)
{
    maker_close(&maker);
    return 0;
}

/* Loads the model and finds the origin of its Conv's weight. */
static void find(void)
{
    struct i4q_conv *convs;
    size_t count;
    maker_load(&maker);
    if (!i4q_convs_find(&maker.model, i4q_ops_conv(), 0, &convs, &count, &maker.error))
        fail_msg("%s", maker.error.message);
    assert_int_equal(count, 1);
    conv = &convs[0];
    origin = conv->origin;
}

static Onnx__NodeProto *quant(const char *inputs)
{
    Onnx__NodeProto *node = maker_node(&maker, "Quant", inputs, "v");
    node->domain = (char *)"qonnx.custom_op.general";
    return node;
}

static Onnx__NodeProto *dequantize(const char *inputs, int64_t axis)
{
    Onnx__NodeProto *node = maker_node(&maker, "DequantizeLinear", inputs, "v");
    maker_int(&maker, node, "axis", axis);
    return node;
}

static void quant_tells_all(void **state)
{
    Onnx__NodeProto *node = quant("w s z n");
    maker_int(&maker, node, "narrow", 1);
    maker_text(&maker, node, "rounding_mode", "FLOOR");
    find();
    assert_non_null(origin);
    assert_int_equal(origin->dialect, I4Q_DIALECT_QUANT);
    assert_int_equal(origin->fault, I4Q_FAULT_NONE);
    assert_int_equal(origin->bits, 4);
    assert_true(origin->quant.is_signed && origin->quant.narrow);
    assert_int_equal(origin->quant.rounding, I4Q_ROUND_FLOOR);
    assert_int_equal(origin->axis, 0);
    assert_int_equal(origin->scale.numbers.count, 2);
    assert_string_equal(origin->proto->name, "w");
    assert_true(i4q_number(&origin->scale.numbers, 1) == 0.5);
}

/* How a Quant comes to its fault: the change that makes it, and what is then told. */
static void no_type(Onnx__NodeProto *node)
{
    maker.graph.initializer[1]->data_type = I4Q_TYPE(INT32); /* of the scales, as large as floats */
}
static void no_mode(Onnx__NodeProto *node)
{
    maker_text(&maker, node, "rounding_mode", "NEAREST");
}
/* As long as a known name but for 256 bytes. */
static void long_mode(Onnx__NodeProto *node)
{
    char name[262] = "ROUND";
    memset(name + 5, 'D', 256);
    maker_text(&maker, node, "rounding_mode", name);
}
/* A known name, and more behind its end. */
static void hidden_mode(Onnx__NodeProto *node)
{
    maker_text(&maker, node, "rounding_mode", "ROUND!X");
    node->attribute[0]->s.data[5] = '\0';
}
static void double_scale(Onnx__NodeProto *node)
{
    static const double scales[2] = {1, 2};
    maker_bytes(&maker, "s8", I4Q_TYPE(DOUBLE), COLUMN, scales);
    node->input[1] = (char *)"s8";
}
static void infinite(Onnx__NodeProto *node)
{
    *(float *)(void *)maker.graph.initializer[1]->raw_data.data = INFINITY;
}
static void negative(Onnx__NodeProto *node)
{
    *(float *)(void *)maker.graph.initializer[1]->raw_data.data = -1;
}
static void both_axes(Onnx__NodeProto *node)
{
    maker_floats(&maker, "s6", BOTH, SCALES);
    node->input[1] = (char *)"s6";
}
static void other_axis(Onnx__NodeProto *node)
{
    maker_floats(&maker, "z3", ROW, ZEROS);
    node->input[2] = (char *)"z3";
}
static void half_zero(Onnx__NodeProto *node)
{
    *(float *)(void *)maker.graph.initializer[2]->raw_data.data = 0.5f;
}
static void nine_bits(Onnx__NodeProto *node)
{
    *(float *)(void *)maker.graph.initializer[3]->raw_data.data = 9;
}
static void some_bits(Onnx__NodeProto *node)
{
    *(float *)(void *)maker.graph.initializer[3]->raw_data.data = 3.5f;
}
static void computed(Onnx__NodeProto *node)
{
    maker_node(&maker, "Neg", "w", "negated");
    node->input[0] = (char *)"negated";
}
static void computed_scale(Onnx__NodeProto *node)
{
    maker_node(&maker, "Neg", "s", "negated");
    node->input[1] = (char *)"negated";
}
static void float_quant(Onnx__NodeProto *node)
{
    node->op_type = (char *)"FloatQuant";
}

static void faults_are_told(void **state)
{
    static const struct {
        void (*change)(Onnx__NodeProto *node);
        enum i4q_fault fault;
    } rows[] = {
        {no_type, I4Q_FAULT_DTYPE},           {no_mode, I4Q_FAULT_ROUNDING},
        {long_mode, I4Q_FAULT_ROUNDING},      {hidden_mode, I4Q_FAULT_ROUNDING},
        {double_scale, I4Q_FAULT_DTYPE},      {infinite, I4Q_FAULT_SCALE_VALUE},
        {negative, I4Q_FAULT_SCALE_VALUE},    {both_axes, I4Q_FAULT_SCALE_SHAPE},
        {other_axis, I4Q_FAULT_ZERO_POINT},   {half_zero, I4Q_FAULT_ZERO_POINT},
        {nine_bits, I4Q_FAULT_BIT_WIDTH},     {some_bits, I4Q_FAULT_BIT_WIDTH},
        {computed, I4Q_FAULT_COMPUTED},       {computed_scale, I4Q_FAULT_SCALE_COMPUTED},
        {float_quant, I4Q_FAULT_FLOAT_QUANT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        teardown(NULL);
        setup(NULL);
        rows[i].change(quant("w s z n"));
        find();
        assert_non_null(origin);
        if (origin->fault != rows[i].fault)
            fail_msg("row %zu: fault %d", i, (int)origin->fault);
    }
}

static void flaws_name_the_node(void **state)
{
    quant("w s z");
    find();
    assert_string_equal(origin->flaw, "node 'v' (Quant): it has 3 inputs, not 4");
    teardown(NULL);
    setup(NULL);
    Onnx__NodeProto *node = quant("w s z n");
    maker_int(&maker, node, "signed", 2);
    maker_int(&maker, node, "rounding_mode", 0); /* a flaw too; the first is told */
    find();
    assert_string_equal(origin->flaw, "node 'v' (Quant): an attribute that is to be 0 or 1 is neither");
}

static void clips_narrow_codes(void **state)
{
    maker_node(&maker, "Clip", "c low high", "k");
    dequantize("k s1", 0);
    find();
    assert_int_equal(origin->dialect, I4Q_DIALECT_QCDQ);
    assert_int_equal(origin->fault, I4Q_FAULT_NONE);
    assert_int_equal(origin->bits, 4);
    assert_true(origin->low == -8 && origin->high == 7);
    assert_int_equal(origin->coding, I4Q_CODING_STORED);
    assert_int_equal(origin->axis, 0);
}

/* min(max(x, low), high), as Clip has it: all codes are the upper bound. */
static void bounds_that_cross_leave_the_upper_one(void **state)
{
    maker_node(&maker, "Clip", "c high low", "k");
    dequantize("k s1", 0);
    find();
    assert_true(origin->low == -8 && origin->high == -8);
}

static void quantized_floats(void **state)
{
    maker_node(&maker, "QuantizeLinear", "w s1 zero", "q");
    maker_int(&maker, maker.graph.node[1], "axis", -4);
    maker_bytes(&maker, "zero", I4Q_TYPE(UINT4), CHANNELS, "\x88");
    dequantize("q s1 zero", 0);
    find();
    assert_int_equal(origin->dialect, I4Q_DIALECT_QDQ);
    assert_int_equal(origin->fault, I4Q_FAULT_NONE);
    assert_int_equal(origin->coding, I4Q_CODING_QUANTIZE_LINEAR);
    assert_int_equal(origin->bits, 4);
    assert_true(origin->low == 0 && origin->high == 15);
    assert_true(i4q_number(&origin->code_zero.numbers, 1) == 8);
    assert_int_equal(origin->axis, 0);
}

static void scales_have_an_axis_of_their_length(void **state)
{
    maker_floats(&maker, "s3", THREE, SCALES);
    maker_node(&maker, "Clip", "c low high", "k");
    dequantize("k s3", 0); /* which has 2 */
    find();
    assert_int_equal(origin->fault, I4Q_FAULT_SCALE_SHAPE);
    teardown(NULL);
    setup(NULL);
    maker_floats(&maker, "s3", THREE, SCALES);
    maker_node(&maker, "Clip", "c low high", "k");
    dequantize("k s3", -3);
    find();
    assert_int_equal(origin->fault, I4Q_FAULT_NONE);
    assert_int_equal(origin->axis, 1);
}

static void bytes_in_which_fewer_bits_may_do(void **state)
{
    dequantize("c s1", 0);
    find();
    assert_int_equal(origin->dialect, I4Q_DIALECT_INT8);
    assert_int_equal(origin->bits, 8);
    assert_true(origin->low == -128 && origin->high == 127);
    teardown(NULL);
    setup(NULL);
    maker_bytes(&maker, "nibbles", I4Q_TYPE(INT4), SHAPE, "\x21\x43\x65");
    dequantize("nibbles s1", 0); /* stands there as it is to stand */
    find();
    assert_null(origin);
    assert_int_equal(conv->source, I4Q_SOURCE_DECODED);
}

static void finn_tells_by_an_annotation(void **state)
{
    Onnx__TensorAnnotation annotation, *annotations[] = {&annotation};
    Onnx__StringStringEntryProto entry, *entries[] = {&entry};
    static const float integers[6] = {1, -2, 7, -8, 0, 3};
    onnx__tensor_annotation__init(&annotation);
    onnx__string_string_entry_proto__init(&entry);
    entry.key = (char *)"finn_datatype";
    entry.value = (char *)"INT4";
    annotation.tensor_name = (char *)"v";
    annotation.quant_parameter_tensor_names = entries;
    annotation.n_quant_parameter_tensor_names = 1;
    maker.graph.quantization_annotation = annotations;
    maker.graph.n_quantization_annotation = 1;
    Onnx__TensorProto *tensor = maker_floats(&maker, "v", SHAPE, integers);
    find();
    assert_int_equal(origin->dialect, I4Q_DIALECT_FINN);
    assert_int_equal(origin->bits, 4);
    assert_true(origin->low == -8 && origin->high == 7);
    ((float *)(void *)tensor->raw_data.data)[4] = 0.5f; /* it is not true */
    find();
    assert_null(origin);
    ((float *)(void *)tensor->raw_data.data)[4] = 8; /* nor is this */
    find();
    assert_null(origin);
}

/* Behind nodes that only move elements; and a plain weight, or activations, have none. */
static void moves_are_looked_through(void **state)
{
    Onnx__NodeProto *node = quant("w s z n");
    node->output[0] = (char *)"moved";
    maker_node(&maker, "Identity", "moved", "v");
    find();
    assert_non_null(origin);
    assert_string_equal(origin->value->name, "moved");
    teardown(NULL);
    setup(NULL);
    maker_node(&maker, "Identity", "w", "v");
    find();
    assert_null(origin);
    teardown(NULL);
    setup(NULL);
    maker_node(&maker, "Neg", "x", "negated");
    quant("negated s z n");
    find();
    assert_int_equal(origin->fault, I4Q_FAULT_COMPUTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(quant_tells_all, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(flaws_name_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(clips_narrow_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_that_cross_leave_the_upper_one, setup, teardown),
        cmocka_unit_test_setup_teardown(quantized_floats, setup, teardown),
        cmocka_unit_test_setup_teardown(scales_have_an_axis_of_their_length, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_in_which_fewer_bits_may_do, setup, teardown),
        cmocka_unit_test_setup_teardown(finn_tells_by_an_annotation, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_are_looked_through, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

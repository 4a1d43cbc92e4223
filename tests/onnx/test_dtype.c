// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/dtype.h"

/* The schema knows the same types, by the same names. */
static void all_types_of_the_schema_are_there(void **state)
{
    const ProtobufCEnumDescriptor *types = &onnx__tensor_proto__data_type__descriptor;
    for (unsigned i = 0; i < types->n_values; i++) {
        const struct i4q_dtype *dtype = i4q_dtype_find(types->values[i].value);
        if (types->values[i].value == I4Q_TYPE(UNDEFINED)) {
            assert_null(dtype);
            continue;
        }
        assert_non_null(dtype);
        assert_int_equal(dtype->type, types->values[i].value);
        assert_string_equal(dtype->name, types->values[i].name);
    }
    assert_null(i4q_dtype_find(-1));
    assert_null(i4q_dtype_find(99));
}

static void sizes(void **state)
{
    static const struct {
        int32_t type;
        size_t bytes; /* of 5 elements */
    } cases[] = {
        {I4Q_TYPE(FLOAT), 20}, {I4Q_TYPE(FLOAT16), 10},   {I4Q_TYPE(INT8), 5},        {I4Q_TYPE(INT4), 3},
        {I4Q_TYPE(UINT2), 2},  {I4Q_TYPE(FLOAT6E2M3), 4}, {I4Q_TYPE(COMPLEX128), 80}, {I4Q_TYPE(STRING), 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(i4q_dtype_bytes(i4q_dtype_find(cases[i].type), 5), cases[i].bytes);
}

/* What stands in the operator schemas. */
static void versions(void **state)
{
    static const struct {
        int32_t type;
        int64_t ir, cast, dequantize;
    } cases[] = {
        {I4Q_TYPE(INT8), 0, 0, 10},   {I4Q_TYPE(INT16), 0, 0, 21},        {I4Q_TYPE(INT4), 10, 21, 21},
        {I4Q_TYPE(INT2), 13, 25, 25}, {I4Q_TYPE(FLOAT8E5M2), 9, 19, 19},  {I4Q_TYPE(FLOAT16), 0, 0, 19},
        {I4Q_TYPE(DOUBLE), 0, 0, 0},  {I4Q_TYPE(FLOAT6E3M2), 14, 28, 28},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct i4q_dtype *dtype = i4q_dtype_find(cases[i].type);
        assert_int_equal(dtype->ir_version, cases[i].ir);
        assert_int_equal(dtype->opset, cases[i].cast);
        assert_int_equal(dtype->dequantize, cases[i].dequantize);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_types_of_the_schema_are_there),
        cmocka_unit_test(sizes),
        cmocka_unit_test(versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

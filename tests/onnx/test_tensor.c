// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/tensor.h"

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static struct i4q_arena arena;

static int setup(void **state)
{
    (void)state;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    i4q_arena_free(&arena);
    return 0;
}

static Onnx__TensorProto make(int32_t type, int64_t *dims, size_t n_dims)
{
    Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
    proto.name = (char *)"w";
    proto.data_type = type;
    proto.dims = dims;
    proto.n_dims = n_dims;
    return proto;
}

static void assert_payload(const Onnx__TensorProto *proto, struct i4q_view expected)
{
    struct i4q_view payload;
    struct i4q_error error = {0};
    if (!i4q_tensor_payload(&arena, proto, &payload, &error))
        fail_msg("%s", error.message);
    assert_int_equal(payload.size, expected.size);
    assert_memory_equal(payload.data, expected.data, expected.size);
}

static void assert_payload_refused(const Onnx__TensorProto *proto, const char *part)
{
    struct i4q_view payload;
    struct i4q_error error = {0};
    assert_false(i4q_tensor_payload(&arena, proto, &payload, &error));
    assert_failed(error, I4Q_MODEL, part);
}

static void every_field_gives_the_same_bytes(void **state)
{
    (void)state;
    int64_t two[] = {2}, three[] = {3};
    float floats[] = {1.0f, -2.0f};
    int32_t halves[] = {0x3c00, 0xc000}, nibbles[] = {0x21, 0x03}, bytes[] = {-1, 127};
    Onnx__TensorProto proto = make(TYPE(FLOAT), two, 1);
    proto.has_raw_data = true;
    proto.raw_data = (ProtobufCBinaryData){8, (uint8_t *)"\0\0\x80\x3f\0\0\0\xc0"};
    assert_payload(&proto, VIEW("\0\0\x80\x3f\0\0\0\xc0"));
    proto.has_raw_data = false;
    proto.float_data = floats;
    proto.n_float_data = 2;
    assert_payload(&proto, VIEW("\0\0\x80\x3f\0\0\0\xc0"));
    proto = make(TYPE(FLOAT16), two, 1);
    proto.int32_data = halves;
    proto.n_int32_data = 2;
    assert_payload(&proto, VIEW("\0\x3c\0\xc0"));
    proto = make(TYPE(INT4), three, 1);
    proto.int32_data = nibbles;
    proto.n_int32_data = 2;
    assert_payload(&proto, VIEW("\x21\x03"));
    proto = make(TYPE(INT8), two, 1);
    proto.int32_data = bytes;
    proto.n_int32_data = 2;
    assert_payload(&proto, VIEW("\xff\x7f"));
}

static void sizes_must_fit(void **state)
{
    (void)state;
    int64_t dims[] = {2, 3};
    Onnx__TensorProto proto = make(TYPE(FLOAT), dims, 2);
    proto.has_raw_data = true;
    proto.raw_data = (ProtobufCBinaryData){20, (uint8_t *)"aaaaaaaaaaaaaaaaaaaa"};
    assert_payload_refused(&proto, "tensor 'w': its shape needs 24 bytes of FLOAT, the payload has 20");
    float one = 1;
    proto.float_data = &one;
    proto.n_float_data = 1;
    assert_payload_refused(&proto, "more than one field");
    proto = make(99, dims, 2);
    assert_payload_refused(&proto, "type 99");
    proto = make(TYPE(FLOAT), dims, 2);
    Onnx__TensorProto__Segment segment = ONNX__TENSOR_PROTO__SEGMENT__INIT;
    proto.segment = &segment;
    assert_payload_refused(&proto, "segments");
}

static void dimensions_are_checked(void **state)
{
    (void)state;
    int64_t huge[] = {INT64_MAX, 3}, wide[] = {INT64_MAX / 2, 1}, negative[] = {3, -1},
            empty[] = {INT64_MAX, INT64_MAX, 0};
    struct i4q_tensor tensor;
    struct i4q_error error = {0};
    Onnx__TensorProto proto = make(TYPE(FLOAT), huge, 2);
    assert_false(i4q_tensor_describe(&proto, &tensor, &error));
    assert_failed(error, I4Q_MODEL, "tensor 'w': its dimensions overflow");
    error = (struct i4q_error){0};
    proto.dims = wide;
    assert_false(i4q_tensor_describe(&proto, &tensor, &error));
    assert_failed(error, I4Q_MODEL, "overflow");
    error = (struct i4q_error){0};
    proto.dims = negative;
    assert_false(i4q_tensor_describe(&proto, &tensor, &error));
    assert_failed(error, I4Q_MODEL, "tensor 'w': dimension 1 is -1");
    error = (struct i4q_error){0};
    proto.dims = empty;
    proto.n_dims = 3;
    assert_false(
        i4q_tensor_describe(&proto, &tensor, &error)); /* the product overflows before the 0 is met */
    proto.n_dims = 0;
    error = (struct i4q_error){0};
    assert_true(i4q_tensor_describe(&proto, &tensor, &error));
    assert_int_equal(tensor.count, 1);
    assert_int_equal(tensor.bytes, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_field_gives_the_same_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes_must_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(dimensions_are_checked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

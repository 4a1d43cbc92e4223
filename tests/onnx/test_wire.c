// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "onnx/wire.h"

#include "onnx.pb-c.h"

static const struct i4q_wire_payload RAW_DATA = {&onnx__tensor_proto__descriptor, 9};

static bool scan(struct i4q_view bytes, struct i4q_wire *wire, struct i4q_error *error)
{
    *error = (struct i4q_error){0};
    return i4q_wire_scan(bytes, &onnx__model_proto__descriptor, RAW_DATA, wire, error);
}

static void assert_refused(struct i4q_view bytes, const char *part)
{
    struct i4q_wire wire;
    struct i4q_error error;
    if (scan(bytes, &wire, &error))
        fail_msg("taken, though: %s", part);
    assert_failed(error, I4Q_MODEL, part);
    assert_null(wire.skeleton.data);
}

static void payloads_are_left_out(void **state)
{
    (void)state;
    /* graph { initializer { name: "w" raw_data: "abc" } } ir_version: 8 and an unknown field 1000 */
    struct i4q_view bytes = VIEW("\x3a\x0a\x2a\x08\x42\x01w\x4a\x03"
                                 "abc"
                                 "\x08\x08\xc0\x3e\x05");
    struct i4q_wire wire;
    struct i4q_error error;
    assert_true(scan(bytes, &wire, &error));
    assert_int_equal(wire.n_payloads, 1);
    assert_ptr_equal(wire.payloads[0].data, bytes.data + 9);
    assert_int_equal(wire.payloads[0].size, 3);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, wire.skeleton.size, wire.skeleton.data);
    assert_non_null(model);
    assert_int_equal(model->ir_version, 8);
    const Onnx__TensorProto *tensor = model->graph->initializer[0];
    assert_string_equal(tensor->name, "w");
    assert_int_equal(tensor->raw_data.len, I4Q_WIRE_TOKEN);
    assert_int_equal(i4q_wire_index(&tensor->raw_data), 0);
    assert_int_equal(model->base.n_unknown_fields, 1);
    onnx__model_proto__free_unpacked(model, NULL);
    i4q_wire_free(&wire);
}

static void nonsense_is_worded(void **state)
{
    (void)state;
    assert_refused(VIEW("\x08"), "a varint is cut off at offset 1");
    assert_refused(VIEW("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "more than 10 bytes");
    assert_refused(VIEW("\x3a\x05\x0a"), "field 7 at offset 0 has 5 bytes, 1 are left");
    assert_refused(VIEW("\x3a\xff\xff\xff\xff\x7f"), "has 34359738367 bytes, 0 are left");
    /* protobuf-c would give up at longer ones without a reason */
    assert_refused(VIEW("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "more than 5 bytes");
    assert_refused(VIEW("\xba\x80\x80\x80\x80\x00\x00"), "more than 5 bytes");
    assert_refused(VIEW("\x12\x81\x80\x80\x80\x80\x00p"), "more than 5 bytes");
    assert_refused(VIEW("\x3d\x01\x02\x03\x04"), "graph at offset 0 has wire type 5, not 2");
    assert_refused(VIEW("\x3b"), "wire type 3 of field 7");
    assert_refused(VIEW("\x00\x01"), "field number 0");
    assert_refused(VIEW("\x12\x03p\x00q"), "the string producer_name has a NUL byte at offset 3");
    /* graph { initializer { float_data: 3 bytes } } */
    assert_refused(VIEW("\x3a\x07\x2a\x05\x22\x03"
                        "abc"),
                   "float_data at offset 4 has 3 bytes, not a multiple of 4");
    /* graph { initializer { int64_data: a varint cut off } } */
    assert_refused(VIEW("\x3a\x05\x2a\x03\x3a\x01\x80"), "cut off");
    assert_refused(VIEW("\x3a\x00\x3a\x00"), "a second graph at offset 2");
    /* the inner message claims more than the outer has */
    assert_refused(VIEW("\x3a\x02\x2a\x05\x08\x08\x08\x08\x08"),
                   "field 5 at offset 2 has 5 bytes, 0 are left");
}

static void nothing_is_a_message_without_fields(void **state)
{
    (void)state;
    struct i4q_wire wire;
    struct i4q_error error;
    assert_true(scan((struct i4q_view){0}, &wire, &error));
    assert_int_equal(wire.skeleton.size, 0);
    i4q_wire_free(&wire);
}

/* graph { node { attribute { g { ... } } } }, as deep as asked */
static size_t nest(uint8_t *bytes, size_t size, int depth)
{
    static const uint8_t tags[] = {0x3a, 0x0a, 0x2a, 0x32};
    size_t used = 0;
    for (int level = depth; level-- > 0;) {
        uint8_t head[6] = {level ? tags[level % 3 == 0 ? 3 : level % 3] : tags[0]};
        size_t head_size = 1;
        for (size_t rest = used; head_size == 1 || rest; rest >>= 7)
            head[head_size++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        assert_true(used + head_size < size);
        memmove(bytes + head_size, bytes, used);
        memcpy(bytes, head, head_size);
        used += head_size;
    }
    return used;
}

static void depth_is_limited(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    struct i4q_wire wire;
    struct i4q_error error;
    struct i4q_view deepest = {bytes, nest(bytes, sizeof bytes, I4Q_WIRE_DEPTH - 1)};
    if (!scan(deepest, &wire, &error))
        fail_msg("%s", error.message);
    i4q_wire_free(&wire);
    struct i4q_view deeper = {bytes, nest(bytes, sizeof bytes, I4Q_WIRE_DEPTH)};
    assert_refused(deeper, "messages nest deeper than 100");
    struct i4q_view hostile = {bytes, nest(bytes, sizeof bytes, 5000)};
    assert_refused(hostile, "messages nest deeper than 100");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_are_left_out),
        cmocka_unit_test(nonsense_is_worded),
        cmocka_unit_test(nothing_is_a_message_without_fields),
        cmocka_unit_test(depth_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The wire pass: what it lets through, protobuf-c must be able to read, and its skeleton must be as wire.h
 * says. */
#include "fuzz.h"

#include "onnx/wire.h"
#include "onnx.pb-c.h"

static const struct i4q_wire_payload RAW_DATA = {&onnx__tensor_proto__descriptor, 9};

/* A field of a skeleton takes at most five times its bytes: lengths take five bytes, payloads ten. */
enum { GROWTH = 5 };

static bool scan(struct i4q_view bytes, struct i4q_wire *wire, struct i4q_error *error)
{
    return i4q_wire_scan(bytes, &onnx__model_proto__descriptor, RAW_DATA, wire, error);
}

static void check_payloads(const struct i4q_wire *wire, struct i4q_view bytes)
{
    const uint8_t *last = bytes.data;
    for (size_t i = 0; i < wire->n_payloads; i++) {
        REQUIRE(wire->payloads[i].data >= last);
        last = wire->payloads[i].data + wire->payloads[i].size;
    }
    REQUIRE(last <= bytes.data + bytes.size);
}

/* Scanning the skeleton finds the numbers of the payloads in the places of the payloads. */
static void check_skeleton(const struct i4q_wire *wire, size_t size)
{
    struct i4q_wire again;
    struct i4q_error error = {0};
    REQUIRE(wire->skeleton.size <= GROWTH * size);
    REQUIRE_OK(scan(wire->skeleton, &again, &error), error);
    REQUIRE(again.skeleton.size == wire->skeleton.size);
    REQUIRE(again.n_payloads == wire->n_payloads);
    for (size_t i = 0; i < again.n_payloads; i++) {
        REQUIRE(again.payloads[i].size == I4Q_WIRE_TOKEN);
        ProtobufCBinaryData token = {I4Q_WIRE_TOKEN, (uint8_t *)again.payloads[i].data};
        REQUIRE(i4q_wire_index(&token) == i);
    }
    i4q_wire_free(&again);
}

static void check_unpacks(struct i4q_view bytes)
{
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, bytes.size, bytes.data);
    REQUIRE(model);
    onnx__model_proto__free_unpacked(model, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_view bytes = {data, size};
    struct i4q_wire wire;
    struct i4q_error error = {0};
    if (!scan(bytes, &wire, &error)) {
        REQUIRE(error.code == I4Q_MODEL);
        return 0;
    }
    check_payloads(&wire, bytes);
    check_skeleton(&wire, size);
    check_unpacks(bytes);
    check_unpacks(wire.skeleton);
    i4q_wire_free(&wire);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* What loads is written as protobuf-c itself would write it, loads again, and is then written as before. */
#include "model_target.h"

#include <string.h>

/* protobuf-c, which reads and writes every payload, is the reference for the skeleton and the links. */
static void check_against_protobuf(const struct i4q_model *written, const uint8_t *data, size_t size)
{
    Onnx__ModelProto *plain = onnx__model_proto__unpack(NULL, size, data);
    REQUIRE(plain);
    size_t packed_size = onnx__model_proto__get_packed_size(plain);
    uint8_t *packed = malloc(packed_size);
    REQUIRE(packed && packed_size == written->input.bytes.size);
    onnx__model_proto__pack(plain, packed);
    REQUIRE(memcmp(packed, written->input.bytes.data, packed_size) == 0);
    free(packed);
    onnx__model_proto__free_unpacked(plain, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_model model, first, second;
    target_begin();
    if (target_load(&model, data, size)) {
        target_write(&model, &first);
        if (!model.external.n_files)
            check_against_protobuf(&first, data, size);
        target_write(&first, &second);
        target_require_equal(&first, &second);
        i4q_model_free(&second);
        i4q_model_free(&first);
        i4q_model_free(&model);
    }
    target_end();
    return 0;
}

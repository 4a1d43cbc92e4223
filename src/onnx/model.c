// SPDX-License-Identifier: Apache-2.0
#include "onnx/model.h"

#include "onnx/foreign.h"
#include "onnx/order.h"
#include "onnx/tensor.h"
#include "onnx/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A protobuf message holds at most 2 GiB; the messages of a model without its payloads take a small multiple
 * of their bytes, and 4 GiB is far beyond any model that is not built to exhaust memory. */
static const size_t MODEL_LIMIT = INT32_MAX;
static const size_t ARENA_LIMIT = (size_t)4 << 30;

static const struct i4q_wire_payload RAW_DATA = {&onnx__tensor_proto__descriptor, 9};

int64_t i4q_scope_opset(const struct i4q_model *model, const struct i4q_scope *scope)
{
    while (scope->parent)
        scope = scope->parent;
    if (scope->function)
        return i4q_opset_version(scope->function->opset_import, scope->function->n_opset_import);
    return i4q_opset_version(model->proto->opset_import, model->proto->n_opset_import);
}

/* ---- pages */

void i4q_model_release(struct i4q_model *model, size_t bytes)
{
    enum { RELEASE_STEP = 32 << 20 }; /* few enough calls to cost nothing, few enough pages to hold */
    size_t before = atomic_fetch_add(&model->unreleased, bytes);
    if (before / RELEASE_STEP == (before + bytes) / RELEASE_STEP)
        return;
    if (model->input.mapped)
        i4q_input_release(model->input.bytes);
    for (size_t i = 0; i < model->external.n_files; i++)
        i4q_input_release(model->external.files[i].bytes);
}

/* ---- every tensor of the model, wherever the schema allows one */

typedef bool tensor_fn(void *context, Onnx__TensorProto *tensor);

/* The messages that one field of `message` holds: their number, and the first of them. */
static size_t field_messages(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                             ProtobufCMessage *const **first)
{
    const char *base = (const char *)message;
    const void *place = base + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *first = *(ProtobufCMessage * *const *)place;
        return *(const size_t *)(base + field->quantifier_offset);
    }
    *first = place;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(base + field->quantifier_offset) == field->id;
    return **first != NULL;
}

/* Recursion is as deep as the wire pass allowed. */
static bool each_tensor(ProtobufCMessage *message, tensor_fn *each, void *context)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (type == RAW_DATA.message)
        return each(context, (Onnx__TensorProto *)message);
    for (unsigned f = 0; f < type->n_fields; f++) {
        if (type->fields[f].type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        ProtobufCMessage *const *items;
        size_t n = field_messages(message, &type->fields[f], &items);
        for (size_t i = 0; i < n; i++)
            if (!each_tensor(items[i], each, context))
                return false;
    }
    return true;
}

bool i4q_model_each_tensor(struct i4q_model *model, tensor_fn *each, void *context)
{
    return each_tensor(&model->proto->base, each, context);
}

/* ---- payloads */

struct linker {
    const struct i4q_wire *wire;
    struct i4q_external *external;
    struct i4q_error *error;
};

static const char *external_entry(const Onnx__TensorProto *tensor, const char *key)
{
    for (size_t i = 0; i < tensor->n_external_data; i++)
        if (strcmp(i4q_text(tensor->external_data[i]->key), key) == 0)
            return i4q_text(tensor->external_data[i]->value);
    return NULL;
}

/* A decimal number as a string, `otherwise` where the key is missing; at most what a file can have. */
static bool external_number(const struct linker *linker, const Onnx__TensorProto *tensor, const char *key,
                            uint64_t otherwise, uint64_t *number)
{
    const char *text = external_entry(tensor, key);
    char *end;
    errno = 0;
    *number = text ? strtoull(text, &end, 10) : otherwise;
    if (text && *number > INT64_MAX)
        *number = INT64_MAX;
    if (!text || (*text >= '0' && *text <= '9' && !*end && !errno))
        return true;
    return i4q_fail(linker->error, I4Q_MODEL, "%s '%s' is not a number", key, text);
}

/* Without a length the tensor takes what its shape needs, or the rest of the file where that is not known. */
static bool link_external(const struct linker *linker, Onnx__TensorProto *tensor)
{
    size_t size = i4q_tensor_size(tensor);
    const char *location = external_entry(tensor, "location");
    uint64_t offset, length;
    struct i4q_view bytes;
    if (tensor->has_raw_data)
        return i4q_fail(linker->error, I4Q_MODEL, "external data beside inline data");
    if (!external_number(linker, tensor, "offset", 0, &offset) ||
        !external_number(linker, tensor, "length", size ? size : SIZE_MAX, &length) ||
        !i4q_external_read(linker->external, location ? location : "", offset, length, &bytes, linker->error))
        return false;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){bytes.size, (uint8_t *)bytes.data};
    return true;
}

/* Payloads are never written to, and the arena's free does nothing, so they may alias what was mapped
 * read-only. */
static bool link_tensor(void *context, Onnx__TensorProto *tensor)
{
    const struct linker *linker = context;
    if (tensor->has_raw_data) {
        struct i4q_view payload = linker->wire->payloads[i4q_wire_index(&tensor->raw_data)];
        tensor->raw_data = (ProtobufCBinaryData){payload.size, (uint8_t *)payload.data};
    }
    if (tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL || link_external(linker, tensor))
        return true;
    struct i4q_error cause = *linker->error;
    linker->error->code = I4Q_OK;
    return i4q_fail(linker->error, cause.code, "tensor '%s': %s", i4q_text(tensor->name), cause.message);
}

/* ---- loading */

static bool check(const Onnx__ModelProto *proto, struct i4q_error *error)
{
    if (!proto->graph)
        return i4q_fail(error, I4Q_MODEL, "not an ONNX model: it has no graph");
    if (!proto->has_ir_version)
        return i4q_fail(error, I4Q_MODEL, "not an ONNX model: it has no ir_version");
    if (proto->n_training_info)
        return i4q_fail(error, I4Q_MODEL, "models with training_info are not supported");
    return true;
}

/* The arena as protobuf-c wants an allocator. */
static void *allocate(void *arena, size_t size)
{
    return i4q_arena_alloc(arena, 1, size);
}

static void drop(void *arena, void *pointer)
{
    i4q_arena_drop(arena, pointer);
}

/* protobuf-c does not say why it gives up; the wire pass left it little reason but memory. */
static bool unpack(struct i4q_model *model, const struct i4q_wire *wire, struct i4q_error *error)
{
    ProtobufCAllocator allocator = {allocate, drop, &model->arena};
    struct linker linker = {wire, &model->external, error};
    model->proto = onnx__model_proto__unpack(&allocator, wire->skeleton.size, wire->skeleton.data);
    if (!model->proto)
        return i4q_fail(error, I4Q_FAILED,
                        "cannot unpack the model: out of memory, or not as protobuf-c wants it");
    return i4q_model_each_tensor(model, link_tensor, &linker);
}

static bool parse(struct i4q_model *model, struct i4q_view bytes, struct i4q_error *error)
{
    if (bytes.size == 0)
        return i4q_fail(error, I4Q_MODEL, "not an ONNX model: it is empty");
    struct i4q_wire wire;
    if (!i4q_wire_scan(bytes, &onnx__model_proto__descriptor, RAW_DATA, &wire, error))
        return false;
    bool ok = unpack(model, &wire, error) && check(model->proto, error) && i4q_model_index(model, error);
    i4q_wire_free(&wire);
    return ok;
}

/* Where reading fails, what the file is says more than the byte at which it stops being protobuf. */
bool i4q_model_index(struct i4q_model *model, struct i4q_error *error)
{
    return i4q_graph_index(&model->arena, model->proto, &model->graph, error) &&
           i4q_graph_sort(&model->arena, &model->graph, error);
}

static bool load(struct i4q_model *model, struct i4q_view bytes, struct i4q_error *error)
{
    if (parse(model, bytes, error))
        return true;
    const char *foreign = error->code == I4Q_MODEL ? i4q_foreign(bytes, model->path) : NULL;
    if (foreign) {
        *error = (struct i4q_error){0};
        i4q_fail(error, I4Q_MODEL, "not an ONNX model: it is %s", foreign);
    }
    return false;
}

bool i4q_model_load_bytes(struct i4q_model *model, struct i4q_view bytes, const char *path,
                          bool follow_symlinks, struct i4q_error *error)
{
    *model = (struct i4q_model){.path = path};
    i4q_arena_init(&model->arena, ARENA_LIMIT);
    bool ok = i4q_external_init(&model->external, &model->arena, path, follow_symlinks, error) &&
              load(model, bytes, error);
    if (!ok)
        i4q_model_free(model);
    return ok;
}

bool i4q_model_load(struct i4q_model *model, const char *path, bool follow_symlinks, struct i4q_error *error)
{
    struct i4q_input input;
    *model = (struct i4q_model){.external.directory = -1};
    if (!i4q_input_open(&input, path, MODEL_LIMIT, error))
        return false;
    if (!i4q_model_load_bytes(model, input.bytes, path, follow_symlinks, error)) {
        i4q_input_close(&input);
        return false;
    }
    model->input = input;
    return true;
}

size_t i4q_model_bytes(const struct i4q_model *model)
{
    size_t bytes = model->input.bytes.size;
    for (size_t i = 0; i < model->external.n_files; i++)
        bytes += model->external.files[i].bytes.size;
    return bytes;
}

void i4q_model_free(struct i4q_model *model)
{
    i4q_arena_free(&model->arena);
    if (model->path)
        i4q_external_close(&model->external);
    i4q_input_close(&model->input);
    *model = (struct i4q_model){.external.directory = -1};
}

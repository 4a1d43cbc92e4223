// SPDX-License-Identifier: Apache-2.0
/* Mutations of ONNX models at the level of protobuf fields, for libFuzzer: bytes changed blindly rarely get
 * past the framing. A model is parsed into a flat list of fields; each mutation replaces one range of bytes,
 * and then the lengths of the messages around it are set right. */
#include "onnx/tensor.h"
#include "onnx.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* The interface of libFuzzer. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2,
                                 uint8_t *out, size_t max_out_size, unsigned seed);

enum {
    MAX_FIELDS = 4096,
    MAX_DEPTH = 32,
    MAX_VARINT = 10,
    MAX_CONTENT = 4096, /* of a field that is made or changed */
    TRIES = 32,         /* for a field of some kind */
    ROOT = -1,
};

struct field {
    size_t start, length, value, end; /* of the tag, of the length (the value where there is none), ... */
    unsigned wire_type;
    const ProtobufCMessageDescriptor *message; /* that has the field */
    const ProtobufCFieldDescriptor *type;      /* NULL: unknown */
    int parent;                                /* the field that holds that message, or ROOT */
};

/* A model in a buffer with room to grow. */
struct tree {
    uint8_t *data;
    size_t size, room;
    struct field fields[MAX_FIELDS];
    int count;
};

/* ---- chance */

static uint64_t state;

/* xorshift64 (Marsaglia 2003) */
static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (size_t)(state >> 16) % n : 0;
}

/* ---- reading */

/* Where the varint at `at` ends; `end` when it does not. */
static size_t read_varint(const struct tree *tree, size_t at, size_t end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        uint8_t byte = tree->data[at++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return at;
    }
    return end;
}

/* One field from `at` on; false when it is malformed. */
static bool read_field(struct tree *tree, size_t at, size_t end, struct field *field)
{
    uint64_t tag, size = 0;
    field->start = at;
    field->length = field->value = read_varint(tree, at, end, &tag);
    field->wire_type = (unsigned)(tag & 7);
    field->type = protobuf_c_message_descriptor_get_field(field->message, (unsigned)(tag >> 3));
    switch (field->wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        field->end = read_varint(tree, field->value, end, &size);
        return field->end > field->value;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        field->value = read_varint(tree, field->value, end, &size);
        break;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        size = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        size = 4;
        break;
    default:
        return false;
    }
    field->end = field->value + (size_t)size;
    return size <= end - field->value;
}

static bool is_message(const struct field *field)
{
    return field->type && field->type->type == PROTOBUF_C_TYPE_MESSAGE &&
           field->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

/* Lists the fields of a message and of those inside, as far as they can be read. */
static void parse_message(struct tree *tree, size_t at, size_t end, const ProtobufCMessageDescriptor *message,
                          int parent, int depth)
{
    while (at < end && tree->count < MAX_FIELDS) {
        struct field *field = &tree->fields[tree->count];
        *field = (struct field){.message = message, .parent = parent};
        if (!read_field(tree, at, end, field))
            return;
        int index = tree->count++;
        if (is_message(field) && depth < MAX_DEPTH)
            parse_message(tree, field->value, field->end, field->type->descriptor, index, depth + 1);
        at = field->end;
    }
}

static void parse(struct tree *tree)
{
    tree->count = 0;
    parse_message(tree, 0, tree->size, &onnx__model_proto__descriptor, ROOT, 0);
}

/* ---- writing */

static size_t write_varint(uint64_t value, uint8_t out[static MAX_VARINT])
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

static void splice(struct tree *tree, size_t from, size_t to, const uint8_t *bytes, size_t n)
{
    memmove(tree->data + from + n, tree->data + to, tree->size - to);
    if (n)
        memcpy(tree->data + from, bytes, n);
    tree->size = tree->size - (to - from) + n;
}

/* Replaces bytes [from, to) of the message that `parent` holds, and parses anew. Lengths stand before what
 * they measure, so going outwards each is still where it was. Does nothing where there is no room. */
static void replace(struct tree *tree, int parent, size_t from, size_t to, const uint8_t *bytes, size_t n)
{
    if (tree->size + n + MAX_DEPTH * MAX_VARINT > tree->room)
        return;
    size_t before = tree->size;
    splice(tree, from, to, bytes, n);
    for (; parent != ROOT; parent = tree->fields[parent].parent) {
        const struct field *field = &tree->fields[parent];
        uint8_t length[MAX_VARINT];
        size_t size = field->end - field->value + tree->size - before;
        splice(tree, field->length, field->value, length, write_varint(size, length));
    }
    parse(tree);
}

/* Gives the field other content, with its length where it has one. */
static void set_content(struct tree *tree, const struct field *field, const uint8_t *content, size_t n)
{
    uint8_t bytes[MAX_VARINT + MAX_CONTENT];
    bool prefixed = field->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    size_t head = prefixed ? write_varint(n, bytes) : 0;
    memcpy(bytes + head, content, n);
    replace(tree, field->parent, field->length, field->end, bytes, head + n);
}

/* ---- choosing */

static const struct field *any_field(const struct tree *tree)
{
    return &tree->fields[below((size_t)tree->count)];
}

/* A field that `message` may have, NULL when chance finds none. */
static const struct field *field_of(const struct tree *tree, const ProtobufCMessageDescriptor *message)
{
    for (int i = 0; i < TRIES && tree->count; i++) {
        const struct field *field = any_field(tree);
        if (field->message == message)
            return field;
    }
    return NULL;
}

static const struct field *string_field(const struct tree *tree)
{
    for (int i = 0; i < TRIES && tree->count; i++) {
        const struct field *field = any_field(tree);
        if (field->type && field->type->type == PROTOBUF_C_TYPE_STRING &&
            field->end - field->value <= MAX_CONTENT)
            return field;
    }
    return NULL;
}

/* ---- mutations; each may find nothing to do */

static void erase(struct tree *tree, const struct tree *donor)
{
    const struct field *field = any_field(tree);
    replace(tree, field->parent, field->start, field->end, NULL, 0);
}

/* A field of the donor, which may be the model itself, goes where its like may stand. */
static void copy(struct tree *tree, const struct tree *donor)
{
    const struct field *neighbour = any_field(tree), *source = field_of(donor, neighbour->message);
    size_t at = below(2) ? neighbour->start : neighbour->end;
    size_t size = source ? source->end - source->start : 0;
    uint8_t *bytes = size ? malloc(size) : NULL;
    if (!bytes)
        return;
    memcpy(bytes, donor->data + source->start, size);
    replace(tree, neighbour->parent, at, at, bytes, size);
    free(bytes);
}

/* Exchanges a field and the one behind it. */
static void swap(struct tree *tree, const struct tree *donor)
{
    const struct field *first = any_field(tree), *second = first + 1;
    while (second < tree->fields + tree->count && second->start < first->end)
        second++;
    if (second == tree->fields + tree->count || second->parent != first->parent)
        return;
    size_t size = first->end - first->start;
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return;
    memcpy(bytes, tree->data + first->start, size);
    memmove(tree->data + first->start, tree->data + second->start, second->end - second->start);
    memcpy(tree->data + first->start + (second->end - second->start), bytes, size);
    free(bytes);
    parse(tree);
}

static uint64_t any_number(const struct tree *tree, uint64_t old)
{
    static const uint64_t numbers[] = {0,  1,  2,          3,         7,         8,       16,
                                       21, 22, UINT64_MAX, INT64_MAX, INT32_MAX, 1u << 31};
    uint64_t other = old;
    const struct field *field = any_field(tree);
    switch (below(4)) {
    case 0:
        return numbers[below(sizeof numbers / sizeof *numbers)];
    case 1:
        return old ^ (uint64_t)1 << below(64);
    case 2:
        if (field->wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
            read_varint(tree, field->value, field->end, &other);
        return other;
    default:
        return old + below(5) - 2;
    }
}

/* Text of another string, so that names come to mean each other; or changed text. */
static size_t any_text(const struct tree *tree, const struct field *field, uint8_t *text)
{
    const struct field *source = below(2) ? string_field(tree) : NULL;
    const struct field *from = source ? source : field;
    size_t size = from->end - from->value;
    size = size < MAX_CONTENT ? size : MAX_CONTENT;
    memcpy(text, tree->data + from->value, size);
    return source ? size : LLVMFuzzerMutate(text, size, MAX_CONTENT);
}

static void change(struct tree *tree, const struct tree *donor)
{
    const struct field *field = any_field(tree);
    uint8_t content[MAX_CONTENT];
    size_t size = field->end - field->value;
    uint64_t number;
    if (is_message(field))
        return;
    if (field->wire_type == PROTOBUF_C_WIRE_TYPE_VARINT) {
        read_varint(tree, field->value, field->end, &number);
        size = write_varint(any_number(tree, number), content);
    } else if (field->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
        size = any_text(tree, field, content);
    } else {
        memcpy(content, tree->data + field->value, size);
        content[below(size)] ^= (uint8_t)(1 << below(8));
    }
    set_content(tree, field, content, size);
}

/* The wire type of a lone value. */
static unsigned wire_type_of(const ProtobufCFieldDescriptor *type)
{
    switch (type->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

/* Any field of the schema, small or empty, at the end of any message. */
static void add(struct tree *tree, const struct tree *donor)
{
    const struct field *holder = any_field(tree);
    if (!is_message(holder))
        return;
    const ProtobufCMessageDescriptor *message = holder->type->descriptor;
    const ProtobufCFieldDescriptor *type = &message->fields[below(message->n_fields)];
    uint8_t bytes[2 * MAX_VARINT + MAX_CONTENT] = {0};
    unsigned wire_type = wire_type_of(type);
    const struct field *text = type->type == PROTOBUF_C_TYPE_MESSAGE ? NULL : string_field(tree);
    size_t size = write_varint((uint64_t)type->id << 3 | wire_type, bytes), length;
    if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT) {
        size += write_varint(below(32), bytes + size);
    } else if (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
        length = text ? text->end - text->value : 0;
        size += write_varint(length, bytes + size);
        memcpy(bytes + size, tree->data + (text ? text->value : 0), length);
        size += length;
    } else {
        size += wire_type == PROTOBUF_C_WIRE_TYPE_32BIT ? 4 : 8;
    }
    replace(tree, (int)(holder - tree->fields), holder->end, holder->end, bytes, size);
}

/* raw_data becomes as long as the tensor's type and shape want it: by chance that hardly happens. */
static void fit(struct tree *tree, const struct tree *donor)
{
    enum { RAW_DATA = 9 };
    uint8_t content[MAX_CONTENT] = {0};
    const struct field *field = field_of(tree, &onnx__tensor_proto__descriptor);
    const struct field *holder = field && field->parent != ROOT ? &tree->fields[field->parent] : NULL;
    for (; holder && field < tree->fields + tree->count && field->start < holder->end; field++) {
        if (field->message != &onnx__tensor_proto__descriptor || !field->type || field->type->id != RAW_DATA)
            continue;
        Onnx__TensorProto *tensor =
            onnx__tensor_proto__unpack(NULL, holder->end - holder->value, tree->data + holder->value);
        size_t size = field->end - field->value, wanted = tensor ? i4q_tensor_size(tensor) : 0;
        if (tensor)
            onnx__tensor_proto__free_unpacked(tensor, NULL);
        if (!wanted || wanted > MAX_CONTENT)
            return;
        memcpy(content, tree->data + field->value, size < wanted ? size : wanted);
        set_content(tree, field, content, wanted);
        return;
    }
}

static void (*const mutations[])(struct tree *tree, const struct tree *donor) = {erase,  copy,   swap, change,
                                                                                 change, change, add,  fit};

/* ---- what libFuzzer calls */

static struct tree tree, donor;

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { BLINDLY = 30, MOST = 4 };
    state = seed + UINT64_C(0x9e3779b97f4a7c15);
    tree.data = data;
    tree.size = size;
    tree.room = max_size;
    parse(&tree);
    if (!tree.count || !below(BLINDLY))
        return LLVMFuzzerMutate(data, size, max_size);
    for (size_t n = 1 + below(MOST); n > 0 && tree.count; n--)
        mutations[below(sizeof mutations / sizeof *mutations)](&tree, &tree);
    return tree.size;
}

/* The first model, with some fields of the second. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2,
                                 uint8_t *out, size_t max_out_size, unsigned seed)
{
    enum { MOST = 3 };
    state = seed + UINT64_C(0x9e3779b97f4a7c15);
    tree.data = out;
    tree.size = size1 < max_out_size ? size1 : max_out_size;
    tree.room = max_out_size;
    memcpy(out, data1, tree.size);
    donor.data = (uint8_t *)data2;
    donor.size = size2;
    parse(&tree);
    parse(&donor);
    for (size_t n = 1 + below(MOST); n > 0 && tree.count; n--)
        copy(&tree, &donor);
    return tree.size;
}

// SPDX-License-Identifier: Apache-2.0
#include "onnx/wire.h"

#include "base/checked.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    VARINT_MAX = 10, /* bytes of a 64-bit varint */
    SHORT_MAX = 5,   /* bytes of tags and lengths; protobuf-c reads no more */
    /* Bytes in which the skeleton writes every length, so that it can be filled in later. */
    LENGTH_WIDTH = SHORT_MAX,
    FIRST_CAPACITY = 4096,
};

/* A growing byte buffer. */
struct buffer {
    uint8_t *data;
    size_t size, capacity;
};

struct scan {
    const uint8_t *start, *end; /* of the whole input, for messages */
    struct i4q_wire_payload payload;
    struct buffer skeleton;
    struct i4q_view *payloads;
    size_t n_payloads, payload_capacity;
    struct i4q_error *error;
};

/* Where reading stands inside one message. */
struct cursor {
    const uint8_t *at, *end;
};

/* One field as it stands on the wire. */
struct token {
    const uint8_t *start; /* of its tag */
    const uint8_t *value; /* of its value; behind the length where it has one */
    size_t size;          /* of the value */
    uint32_t number;
    unsigned wire_type;
    const ProtobufCFieldDescriptor *field; /* NULL: not in the schema */
};

static uint64_t offset(const struct scan *scan, const uint8_t *at)
{
    return (uint64_t)(at - scan->start);
}

/* ---- output */

static bool grow(struct scan *scan, void **data, size_t *capacity, size_t needed, size_t element)
{
    size_t bigger = *capacity ? *capacity : FIRST_CAPACITY;
    while (bigger < needed)
        if (!i4q_mul_size(bigger, 2, &bigger))
            return i4q_fail_memory(scan->error);
    size_t bytes;
    void *moved = i4q_mul_size(bigger, element, &bytes) ? realloc(*data, bytes) : NULL;
    if (!moved)
        return i4q_fail_memory(scan->error);
    *data = moved;
    *capacity = bigger;
    return true;
}

/* Small messages grow in the skeleton, so its size is limited by itself: to that of any message. */
static bool emit(struct scan *scan, const void *data, size_t size)
{
    struct buffer *out = &scan->skeleton;
    size_t needed;
    if (!i4q_add_size(out->size, size, &needed) || needed > INT32_MAX)
        return i4q_fail(scan->error, I4Q_MODEL, "without its weights it passes 2 GiB");
    if (needed > out->capacity && !grow(scan, (void **)&out->data, &out->capacity, needed, 1))
        return false;
    if (size)
        memcpy(out->data + out->size, data, size);
    out->size = needed;
    return true;
}

/* A length as a varint of fixed width; protobuf allows the leading zeros. */
static void put_length(uint8_t *out, size_t length)
{
    for (int i = 0; i < LENGTH_WIDTH; i++)
        out[i] = (uint8_t)((length >> 7 * i & 0x7f) | (i < LENGTH_WIDTH - 1 ? 0x80 : 0));
}

static bool emit_payload(struct scan *scan, const struct token *token)
{
    if (scan->n_payloads == scan->payload_capacity &&
        !grow(scan, (void **)&scan->payloads, &scan->payload_capacity, scan->n_payloads + 1,
              sizeof *scan->payloads))
        return false;
    uint8_t stand_in[1 + I4Q_WIRE_TOKEN] = {I4Q_WIRE_TOKEN};
    for (int i = 0; i < I4Q_WIRE_TOKEN; i++)
        stand_in[1 + i] = (uint8_t)((uint64_t)scan->n_payloads >> 8 * i);
    scan->payloads[scan->n_payloads++] = (struct i4q_view){token->value, token->size};
    /* The tag is kept as it stands: its bytes end where those of the length begin. */
    uint8_t tag = (uint8_t)(token->number << 3 | token->wire_type);
    return emit(scan, &tag, 1) && emit(scan, stand_in, sizeof stand_in);
}

/* ---- tokens */

static bool read_varint(struct scan *scan, struct cursor *cursor, int max, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < max; i++) {
        if (cursor->at == cursor->end)
            return i4q_fail(scan->error, I4Q_MODEL,
                            "malformed protobuf: a varint is cut off at offset %" PRIu64,
                            offset(scan, cursor->at));
        uint8_t byte = *cursor->at++;
        *value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte < 0x80)
            return true;
    }
    return i4q_fail(scan->error, I4Q_MODEL,
                    "malformed protobuf: a varint has more than %d bytes at offset %" PRIu64, max,
                    offset(scan, cursor->at));
}

static bool read_tag(struct scan *scan, struct cursor *cursor, const ProtobufCMessageDescriptor *message,
                     struct token *token)
{
    uint64_t tag;
    token->start = cursor->at;
    if (!read_varint(scan, cursor, SHORT_MAX, &tag))
        return false;
    /* Field numbers have 29 bits; protobuf-c would read a longer tag as another field. */
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        return i4q_fail(scan->error, I4Q_MODEL,
                        "malformed protobuf: field number %" PRIu64 " at offset %" PRIu64, tag >> 3,
                        offset(scan, token->start));
    token->number = (uint32_t)(tag >> 3);
    token->wire_type = (unsigned)(tag & 7);
    token->field = protobuf_c_message_descriptor_get_field(message, token->number);
    return true;
}

/* Whether what a known field lacks would stand behind the end of the file. */
static bool ends_early(const struct scan *scan, const struct cursor *cursor, const struct token *token)
{
    return token->field && token->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
           cursor->end == scan->end;
}

/* Bytes of the value, without a length prefix; the cursor then stands at the value. */
static bool read_size(struct scan *scan, struct cursor *cursor, struct token *token)
{
    const uint8_t *start = cursor->at;
    uint64_t size = 0;
    switch (token->wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!read_varint(scan, cursor, VARINT_MAX, &size))
            return false;
        size = (uint64_t)(cursor->at - start);
        cursor->at = start;
        break;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        size = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(scan, cursor, SHORT_MAX, &size))
            return false;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        size = 4;
        break;
    default:
        return i4q_fail(scan->error, I4Q_MODEL,
                        "malformed protobuf: wire type %u of field %u at offset %" PRIu64, token->wire_type,
                        token->number, offset(scan, token->start));
    }
    if (size > (uint64_t)(cursor->end - cursor->at))
        return i4q_fail(scan->error, I4Q_MODEL,
                        "malformed protobuf: field %u at offset %" PRIu64 " has %" PRIu64 " bytes, %" PRIu64
                        " are left%s",
                        token->number, offset(scan, token->start), size, (uint64_t)(cursor->end - cursor->at),
                        ends_early(scan, cursor, token) ? ": an incomplete download?" : "");
    token->size = (size_t)size;
    return true;
}

/* ---- fields against the schema */

/* The wire type of one value of each protobuf type. */
static const uint8_t natural_wire_type[] = {
    [PROTOBUF_C_TYPE_INT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SINT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SFIXED32] = PROTOBUF_C_WIRE_TYPE_32BIT,
    [PROTOBUF_C_TYPE_INT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SINT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_SFIXED64] = PROTOBUF_C_WIRE_TYPE_64BIT,
    [PROTOBUF_C_TYPE_UINT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_FIXED32] = PROTOBUF_C_WIRE_TYPE_32BIT,
    [PROTOBUF_C_TYPE_UINT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_FIXED64] = PROTOBUF_C_WIRE_TYPE_64BIT,
    [PROTOBUF_C_TYPE_FLOAT] = PROTOBUF_C_WIRE_TYPE_32BIT,
    [PROTOBUF_C_TYPE_DOUBLE] = PROTOBUF_C_WIRE_TYPE_64BIT,
    [PROTOBUF_C_TYPE_BOOL] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_ENUM] = PROTOBUF_C_WIRE_TYPE_VARINT,
    [PROTOBUF_C_TYPE_STRING] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
    [PROTOBUF_C_TYPE_BYTES] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
    [PROTOBUF_C_TYPE_MESSAGE] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
};

/* Packed values must fill their length exactly; protobuf-c would refuse them without a word. */
static bool check_packed(struct scan *scan, const struct token *token)
{
    unsigned wire_type = natural_wire_type[token->field->type];
    size_t unit = wire_type == PROTOBUF_C_WIRE_TYPE_32BIT ? 4 : 8;
    if (wire_type != PROTOBUF_C_WIRE_TYPE_VARINT)
        return token->size % unit == 0 ||
               i4q_fail(scan->error, I4Q_MODEL,
                        "malformed protobuf: %s at offset %" PRIu64 " has %zu bytes, not a multiple of %zu",
                        token->field->name, offset(scan, token->start), token->size, unit);
    struct cursor values = {token->value, token->value + token->size};
    uint64_t ignored;
    while (values.at < values.end)
        if (!read_varint(scan, &values, VARINT_MAX, &ignored))
            return false;
    return true;
}

static bool check_field(struct scan *scan, const struct token *token)
{
    const ProtobufCFieldDescriptor *field = token->field;
    if (token->wire_type == natural_wire_type[field->type]) {
        const uint8_t *nul =
            field->type == PROTOBUF_C_TYPE_STRING ? memchr(token->value, 0, token->size) : NULL;
        return !nul || i4q_fail(scan->error, I4Q_MODEL, "the string %s has a NUL byte at offset %" PRIu64,
                                field->name, offset(scan, nul));
    }
    bool packed =
        field->label == PROTOBUF_C_LABEL_REPEATED && token->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    if (packed)
        return check_packed(scan, token);
    return i4q_fail(scan->error, I4Q_MODEL,
                    "malformed protobuf: %s at offset %" PRIu64 " has wire type %u, not %u", field->name,
                    offset(scan, token->start), token->wire_type, natural_wire_type[field->type]);
}

static bool scan_message(struct scan *scan, struct cursor cursor, const ProtobufCMessageDescriptor *message,
                         int depth);

/* A nested message: its tag, its length once it is known, its skeleton. */
static bool scan_nested(struct scan *scan, const struct token *token, const uint8_t *tag_end, int depth)
{
    if (depth == I4Q_WIRE_DEPTH)
        return i4q_fail(scan->error, I4Q_MODEL, "messages nest deeper than %d at offset %" PRIu64,
                        I4Q_WIRE_DEPTH, offset(scan, token->start));
    static const uint8_t room[LENGTH_WIDTH];
    if (!emit(scan, token->start, (size_t)(tag_end - token->start)) || !emit(scan, room, sizeof room))
        return false;
    size_t start = scan->skeleton.size;
    struct cursor inner = {token->value, token->value + token->size};
    if (!scan_message(scan, inner, token->field->descriptor, depth + 1))
        return false;
    put_length(scan->skeleton.data + start - LENGTH_WIDTH, scan->skeleton.size - start);
    return true;
}

/* A message that comes twice where the schema has one would have to be merged with the first. Nobody writes
 * models so, and protobuf-c fails at it without a reason where there is a oneof inside. `seen` has a bit for
 * each field of the message. */
static bool check_single(struct scan *scan, const struct token *token,
                         const ProtobufCMessageDescriptor *message, uint64_t *seen)
{
    uint64_t bit = (uint64_t)1 << (token->field - message->fields);
    if (token->field->label != PROTOBUF_C_LABEL_REPEATED && (*seen & bit))
        return i4q_fail(scan->error, I4Q_MODEL, "malformed protobuf: a second %s at offset %" PRIu64,
                        token->field->name, offset(scan, token->start));
    *seen |= bit;
    return true;
}

static bool scan_field(struct scan *scan, struct cursor *cursor, const ProtobufCMessageDescriptor *message,
                       uint64_t *seen, int depth)
{
    struct token token = {0};
    if (!read_tag(scan, cursor, message, &token))
        return false;
    const uint8_t *tag_end = cursor->at;
    if (!read_size(scan, cursor, &token))
        return false;
    token.value = cursor->at;
    cursor->at += token.size;
    if (token.field && !check_field(scan, &token))
        return false;
    if (token.field && token.field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_single(scan, &token, message, seen) && scan_nested(scan, &token, tag_end, depth);
    if (message == scan->payload.message && token.number == scan->payload.field)
        return emit_payload(scan, &token);
    return emit(scan, token.start, (size_t)(cursor->at - token.start));
}

/* Recursion is bounded by I4Q_WIRE_DEPTH. */
static bool scan_message(struct scan *scan, struct cursor cursor, const ProtobufCMessageDescriptor *message,
                         int depth)
{
    uint64_t seen = 0; /* no message of the schema has more fields than bits */
    while (cursor.at < cursor.end)
        if (!scan_field(scan, &cursor, message, &seen, depth))
            return false;
    return true;
}

bool i4q_wire_scan(struct i4q_view bytes, const ProtobufCMessageDescriptor *root,
                   struct i4q_wire_payload payload, struct i4q_wire *wire, struct i4q_error *error)
{
    struct cursor cursor = {bytes.data, bytes.size ? bytes.data + bytes.size : bytes.data};
    struct scan scan = {.start = cursor.at, .end = cursor.end, .payload = payload, .error = error};
    bool ok = scan_message(&scan, cursor, root, 1);
    *wire = (struct i4q_wire){{scan.skeleton.data, scan.skeleton.size}, scan.payloads, scan.n_payloads};
    if (!ok)
        i4q_wire_free(wire);
    return ok;
}

void i4q_wire_free(struct i4q_wire *wire)
{
    free((void *)wire->skeleton.data);
    free(wire->payloads);
    *wire = (struct i4q_wire){0};
}

size_t i4q_wire_index(const ProtobufCBinaryData *token)
{
    uint64_t index = 0;
    for (int i = 0; i < I4Q_WIRE_TOKEN; i++)
        index |= (uint64_t)token->data[i] << 8 * i;
    return (size_t)index;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The pass over protobuf bytes that comes before protobuf-c. protobuf-c copies every payload, gives no reason
 * for a failure, recurses as deep as the bytes say, and drops what follows a NUL in a string. So this pass
 * checks all of that, words it, and hands protobuf-c a skeleton: the same message with each payload replaced
 * by its number.
 *
 * After i4q_wire_scan succeeded:
 *   - every length stays inside its parent, every wire type fits its field, messages nest at most
 *     I4Q_WIRE_DEPTH deep, no string field has a NUL, every field number is 1 or more, tags and lengths have
 *     at most 5 bytes, no message stands twice where the schema has one;
 *   - the skeleton is a valid message of the same type with the same fields in the same order, below 2 GiB;
 *   - each payload field of the skeleton is 8 bytes: the little-endian index of its view in `payloads`.
 * Fields that the schema does not know are carried over as they are; their contents are not looked into.
 */
#ifndef INT4Q_ONNX_WIRE_H
#define INT4Q_ONNX_WIRE_H

#include "base/error.h"
#include "base/view.h"

#include <protobuf-c/protobuf-c.h>

enum { I4Q_WIRE_DEPTH = 100, I4Q_WIRE_TOKEN = 8 };

/* Which field holds payloads: a singular `bytes` field of some message. */
struct i4q_wire_payload {
    const ProtobufCMessageDescriptor *message;
    unsigned field;
};

struct i4q_wire {
    struct i4q_view skeleton;
    struct i4q_view *payloads; /* into the scanned bytes, in their order */
    size_t n_payloads;
};

/* Scans `bytes` as a message of type `root`. Errors (I4Q_MODEL) tell field and byte offset. */
bool i4q_wire_scan(struct i4q_view bytes, const ProtobufCMessageDescriptor *root,
                   struct i4q_wire_payload payload, struct i4q_wire *wire,
                   struct i4q_error *error) I4Q_MUST_CHECK;
void i4q_wire_free(struct i4q_wire *wire);

/* The index that a payload field of the skeleton holds. */
size_t i4q_wire_index(const ProtobufCBinaryData *token);

#endif

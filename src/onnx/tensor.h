// SPDX-License-Identifier: Apache-2.0
/* One TensorProto as type, shape and bytes, whichever of its fields holds the elements. Sizes are checked
 * here, so that nobody else has to trust a file. */
#ifndef INT4Q_ONNX_TENSOR_H
#define INT4Q_ONNX_TENSOR_H

#include "base/arena.h"
#include "base/view.h"

#include "onnx.pb-c.h"

struct i4q_tensor {
    int32_t type; /* TensorProto.DataType */
    size_t rank;
    const int64_t *dims; /* all >= 0; alias the message */
    size_t count;        /* elements: the product of dims, 1 for rank 0 */
    size_t bytes;        /* of the payload; 0 for types without a fixed size */
};

/* Type and shape. I4Q_MODEL: a negative dimension, or a size that overflows. */
bool i4q_tensor_describe(const Onnx__TensorProto *proto, struct i4q_tensor *tensor,
                         struct i4q_error *error) I4Q_MUST_CHECK;

/* The elements as raw_data would hold them (little-endian, row-major, nibbles packed): aliases the message,
 * or the arena where the elements are stored as int32_data. The size is that of i4q_tensor_describe.
 * I4Q_MODEL: the elements do not fit type and shape, are stored twice, in segments, or the type is not one of
 * those that weights, scales and codes can have. */
bool i4q_tensor_payload(struct i4q_arena *arena, const Onnx__TensorProto *proto, struct i4q_view *payload,
                        struct i4q_error *error) I4Q_MUST_CHECK;

/* Bytes of the payload, 0 when the shape is not sound or the type has no fixed size. */
size_t i4q_tensor_size(const Onnx__TensorProto *proto);

#endif

// SPDX-License-Identifier: Apache-2.0
/* A model made message by message, packed and loaded again. Whatever goes wrong while it is made fails the
 * test; names are copied. */
#ifndef INT4Q_TEST_MAKER_H
#define INT4Q_TEST_MAKER_H

#include "onnx/model.h"

struct maker {
    struct i4q_arena messages; /* which need to live until they are packed */
    Onnx__ModelProto proto;
    Onnx__GraphProto graph;
    uint8_t *bytes;
    struct i4q_model model;
    struct i4q_error error;
};

/* An empty model of this opset, IR version 10. */
void maker_open(struct maker *maker, int64_t opset);
void maker_close(struct maker *maker);

/* Zeroed memory that lives as long as the messages. */
void *maker_room(struct maker *maker, size_t count, size_t size);

/* A node; inputs and outputs are names with a blank between, '-' for one that is left out. */
Onnx__NodeProto *maker_node(struct maker *maker, const char *op, const char *inputs, const char *outputs);
void maker_int(struct maker *maker, Onnx__NodeProto *node, const char *name, int64_t value);
void maker_ints(struct maker *maker, Onnx__NodeProto *node, const char *name, const int64_t *values,
                size_t n);
void maker_text(struct maker *maker, Onnx__NodeProto *node, const char *name, const char *value);

/* An initializer with these numbers as raw data; of dimensions up to the first 0, none: a scalar. */
Onnx__TensorProto *maker_floats(struct maker *maker, const char *name, const int64_t dims[4],
                                const float *values);
Onnx__TensorProto *maker_bytes(struct maker *maker, const char *name, int32_t type, const int64_t dims[4],
                               const void *values);

/* A FLOAT input or output of so many dimensions of 8; 0: of unknown shape. */
Onnx__ValueInfoProto *maker_input(struct maker *maker, const char *name, size_t rank);
void maker_output(struct maker *maker, const char *name, size_t rank);

/* The model in bytes that the caller frees, and how many. */
size_t maker_pack(const struct maker *maker, uint8_t **bytes);

/* Packs the model and loads it as if from standard input. */
bool maker_try_load(struct maker *maker);
void maker_load(struct maker *maker);

/* In the main graph of the loaded model; they have to be there. */
struct i4q_value *maker_value(struct maker *maker, const char *name);
const Onnx__TensorProto *maker_initializer(struct maker *maker, const char *name);

#endif

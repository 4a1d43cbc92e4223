// SPDX-License-Identifier: Apache-2.0
/*
 * A loaded model: the protobuf-c messages, and the index of them.
 *
 * Ownership: everything lives in `arena`, payloads (TensorProto.raw_data) alias the input file, and all of it
 * goes with i4q_model_free. Strings and messages may therefore be shared, moved and dropped freely.
 */
#ifndef INT4Q_ONNX_MODEL_H
#define INT4Q_ONNX_MODEL_H

#include "onnx/graph.h"
#include "platform/beneath.h"
#include "platform/file.h"

#include <stdatomic.h>

struct i4q_trial;

struct i4q_model {
    const char *path; /* as given by the user; borrowed */
    struct i4q_input input;
    struct i4q_external external; /* the files with its external data */
    struct i4q_arena arena;
    Onnx__ModelProto *proto;
    struct i4q_graph graph;
    atomic_size_t unreleased; /* see i4q_model_release */
    struct i4q_trial *trial;  /* that is going on; NULL: what is done is meant */
};

/* Reads and indexes the model at `path` ("-" is standard input). External data is read from beneath the
 * model's directory, through links only if told so; a tensor that has some stays marked (data_location), with
 * its raw_data pointing into the mapped file. On failure the model is empty; the messages begin with the
 * object concerned, not with the path. */
bool i4q_model_load(struct i4q_model *model, const char *path, bool follow_symlinks,
                    struct i4q_error *error) I4Q_MUST_CHECK;

/* The same from bytes, which must outlive the model; `path` is where they came from. */
bool i4q_model_load_bytes(struct i4q_model *model, struct i4q_view bytes, const char *path,
                          bool follow_symlinks, struct i4q_error *error) I4Q_MUST_CHECK;

/* Indexes the messages anew, after edits: all that pointed into the index is then of the past. I4Q_MODEL: two
 * values of one name, a cycle. */
bool i4q_model_index(struct i4q_model *model, struct i4q_error *error) I4Q_MUST_CHECK;

/* Bytes of the model's file and of those with its external data. */
size_t i4q_model_bytes(const struct i4q_model *model);

/* Tells that `bytes` more of the mapped payloads have been read. From time to time all of their pages are
 * given back (they stay in the page cache), so that a model larger than memory never fills it. Thread-safe.
 */
void i4q_model_release(struct i4q_model *model, size_t bytes);

/* Calls `each` for every tensor of the model, wherever the schema allows one, in file order, until it returns
 * false. */
bool i4q_model_each_tensor(struct i4q_model *model, bool (*each)(void *context, Onnx__TensorProto *tensor),
                           void *context) I4Q_MUST_CHECK;

void i4q_model_free(struct i4q_model *model);

/* The version of the standard domain under which the nodes of a scope are to be read: that of the function or
 * of the model which it is part of. */
int64_t i4q_scope_opset(const struct i4q_model *model, const struct i4q_scope *scope);

#endif

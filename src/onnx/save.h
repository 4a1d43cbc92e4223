// SPDX-License-Identifier: Apache-2.0
/* Where the payloads of the model to be written go, `external`:
 *     "auto"    what was external goes to a new file OUTPUT.data beside the model, and so do large tensors of
 *               what would not fit into a protobuf message otherwise
 *     "inline"  into the model
 *     NAME      large tensors, and what was external, go to a new file of that name beside the model */
#ifndef INT4Q_ONNX_SAVE_H
#define INT4Q_ONNX_SAVE_H

#include "onnx/edit.h"
#include "platform/output.h"

#define I4Q_EXTERNAL_DATA_HELP                                                                               \
    "where large tensors go: auto, as the model has it; inline, all in one file; or the name of a file "     \
    "beside the output (default: auto)"

struct i4q_layout {
    struct i4q_list tensors; /* Onnx__TensorProto: the external ones, in the order of the file */
    uint64_t *offsets;       /* of each in the data file */
    uint64_t data_bytes;     /* of the data file; 0: there is none */
    size_t model_bytes;      /* of the model file */
    const char *data_path;   /* of the data file */
};

/* The words among them: word `index`, NULL behind the last. */
const char *i4q_layout_word(size_t index);

/* Whether a model can be written to `path` so. I4Q_USAGE: no, and why. */
bool i4q_layout_check(const char *path, const char *external, struct i4q_error *error) I4Q_MUST_CHECK;

/* The path of the data file that a model at `path` may come to have; NULL: it can have none (inline, standard
 * output). False: out of memory. */
bool i4q_layout_data_path(struct i4q_arena *arena, const char *path, const char *external,
                          char **data_path) I4Q_MUST_CHECK;

/* Decides about a model that is ready to be written to `path`, and points its external tensors at the data
 * file. The payloads stay where they are. I4Q_USAGE: external data and standard output; I4Q_MODEL: more than
 * 2 GiB inline. */
bool i4q_layout_make(struct i4q_model *model, const char *path, const char *external,
                     struct i4q_layout *layout, struct i4q_error *error) I4Q_MUST_CHECK;

/* Bytes of both files. */
size_t i4q_layout_bytes(const struct i4q_layout *layout);

/* Writes the model and its data file, if there is one: `output` is open for the model and committed. */
bool i4q_layout_write(struct i4q_model *model, const struct i4q_layout *layout, struct i4q_output *output,
                      struct i4q_error *error) I4Q_MUST_CHECK;

#endif

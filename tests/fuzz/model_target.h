// SPDX-License-Identifier: Apache-2.0
/* What the targets that take a model share: a directory to load from and write to, and what must hold of
 * every load, write and inspection. */
#ifndef INT4Q_MODEL_TARGET_H
#define INT4Q_MODEL_TARGET_H

#include "fuzz.h"

#include "inspect/inspection.h"
#include "onnx/model.h"

#include <jansson.h>

/* Loads bytes as a model of a directory that has some files for external data. False: they are no model, and
 * the error says why. */
bool target_load(struct i4q_model *model, const uint8_t *data, size_t size);

/* Writes the model to disk, external data included, and loads what was written. */
void target_write(struct i4q_model *model, struct i4q_model *written);

/* Where that is written. */
const char *target_output_path(void);

/* The two files that were loaded are the same, those with external data included. */
void target_require_equal(const struct i4q_model *a, const struct i4q_model *b);

/* Inspects the model. False: one of its Convs is not sound, which the error says. */
bool target_inspect(struct i4q_model *model, const struct i4q_kernels *kernels,
                    struct i4q_inspection *inspection);

/* A report must be JSON that can be written and, as text, have no control characters but line ends. */
void target_check_json(json_t *json);
FILE *target_text_open(void);
void target_text_close(FILE *stream);

/* The kernel sets that are compared: the best one that this CPU can run, and the scalar one. */
const struct i4q_kernels *target_best_kernels(void);
const struct i4q_kernels *target_scalar_kernels(void);

/* What stands around every run: files opened in between must be closed again. */
void target_begin(void);
void target_end(void);

#endif

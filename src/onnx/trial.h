// SPDX-License-Identifier: Apache-2.0
/*
 * Work on a loaded model that is taken back: what an edit comes to is found out on the model itself, without
 * a second one in memory.
 *
 * Between begin and end all memory that the model's arena gives out is the trial's own. Messages that were
 * there before are noted when edit.h opens them, and are as they were in the end. So are the names in use. A
 * trial begins on a model that nobody has edited yet, and there is one at a time.
 */
#ifndef INT4Q_ONNX_TRIAL_H
#define INT4Q_ONNX_TRIAL_H

#include "onnx/model.h"

struct i4q_noted;

struct i4q_trial {
    struct i4q_model *model;
    struct i4q_arena arena;  /* the model's own */
    struct i4q_noted *noted; /* memory that has been opened, the last first */
};

void i4q_trial_begin(struct i4q_trial *trial, struct i4q_model *model);

/* Notes `size` bytes that are about to be changed; false only when memory runs out. */
bool i4q_trial_note(struct i4q_trial *trial, void *memory, size_t size) I4Q_MUST_CHECK;

/* Everything is as it was when the trial began; what was made since is gone. */
void i4q_trial_end(struct i4q_trial *trial);

#endif

// SPDX-License-Identifier: Apache-2.0
/* The way back: weights that nodes decode from stored integers become float initializers again. */
#ifndef INT4Q_REWRITE_RESTORE_H
#define INT4Q_REWRITE_RESTORE_H

#include "forms/reader.h"
#include "kernels/sets.h"
#include "onnx/layers.h"

/* One weight that was restored. */
struct i4q_restored {
    const char *node, *weight; /* names */
    const char *storage;       /* what it was stored as */
    size_t count;              /* elements */
};

/* Which weights are restored; called once for each that can be. */
struct i4q_restore_choice {
    bool (*take)(void *context, const struct i4q_conv *conv, const struct i4q_storage *storage,
                 const struct i4q_stored *stored);
    void *context;
    bool widen; /* FLOAT16 weights become FLOAT, not rounded: whoever asks for it has nodes to follow */
};

struct i4q_restoration {
    struct i4q_restored *weights; /* in the order of the Convs that read them */
    size_t n_weights;
};

/* Changes the model's messages: each decoded weight W becomes an initializer W of the exact values
 * float(code - zero point) * scale, in the place of its codes; nodes and initializers that only decoded it
 * go, and so does an import of com.microsoft that nothing uses any more. Weights that cannot be read stay as
 * they are, and so do those that are not the choice's, if there is one. I4Q_MODEL: a payload or scale that
 * does not fit or is no number, or floats of more than 64 bytes (and 16 MiB) for each byte of the model. */
bool i4q_restore(struct i4q_model *model, const struct i4q_kernels *kernels,
                 const struct i4q_restore_choice *choice, struct i4q_restoration *restoration,
                 struct i4q_error *error) I4Q_MUST_CHECK;

/* What becomes an initializer: the weight, or what nodes that only move elements make it of. */
const struct i4q_value *i4q_restored_value(const struct i4q_conv *conv);

struct i4q_restored i4q_restored_of(const struct i4q_conv *conv, const struct i4q_storage *storage);

#endif

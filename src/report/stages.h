// SPDX-License-Identifier: Apache-2.0
/* The stages of a network, as the names of its Convs tell them: model.0, model.1, ... of a YOLO,
 * backbone.dark2, head.stems, ... of others. */
#ifndef INT4Q_REPORT_STAGES_H
#define INT4Q_REPORT_STAGES_H

#include "onnx/layers.h"

enum { I4Q_STAGES_MOST = 24 }; /* which a screen can show */

/* All Convs whose names begin with the same words, divided by '/' and '.', are a stage; by as many words as
 * give at most I4Q_STAGES_MOST of them. Names are those of nodes where these are paths, else of weights. */
struct i4q_stages {
    struct i4q_stage {
        const char *path; /* borrowed; the stage is its first `length` bytes */
        size_t length;
    } items[I4Q_STAGES_MOST];
    size_t count; /* 0: the names tell none */
    unsigned words;
};

void i4q_stages_find(const struct i4q_conv *convs, size_t count, struct i4q_stages *stages);

/* The index of a Conv's stage. */
size_t i4q_stage_of(const struct i4q_stages *stages, const struct i4q_conv *conv);

#endif

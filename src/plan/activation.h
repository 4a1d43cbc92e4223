// SPDX-License-Identifier: Apache-2.0
/* What is decided about a value that Convs read: the bits, scale and zero point that it gets, or the one
 * reason why it stays float. */
#ifndef INT4Q_PLAN_ACTIVATION_H
#define INT4Q_PLAN_ACTIVATION_H

#include "base/view.h"
#include "onnx/graph.h"
#include "quantize/range.h"

/* In the order in which they are looked for. */
enum i4q_activation_reason {
    I4Q_INPUT_QUANTIZED,
    I4Q_INPUT_BODY,
    I4Q_INPUT_IMAGE,
    I4Q_INPUT_ALREADY_QUANTIZED,
    I4Q_INPUT_UNMEASURED,
    I4Q_INPUT_UNREAD,
    I4Q_INPUT_REASONS,
};

/* What reports call a reason, NULL for none; and a few words for people. */
struct i4q_activation_reason_row {
    const char *word, *meaning;
};
extern const struct i4q_activation_reason_row i4q_activation_reasons[I4Q_INPUT_REASONS];

/* How activations are quantized. */
struct i4q_activation_options {
    const struct i4q_levels *levels; /* NULL: they are not */
    enum i4q_range_rule rule;
    bool per_channel;      /* a scale a channel, which goes into the weights */
    bool correct;          /* biases make up for what it does to the means */
    size_t keep;           /* so many get 8 bits */
    bool has_keep;         /* and the user says how many */
    const char *keep_path; /* of a file that tells which, or NULL */
    struct i4q_view keep_json;
};

/* A value that Convs read whose weights may be stored anew. */
struct i4q_plan_activation {
    struct i4q_value *value;
    size_t channels, rank;
    bool half;                      /* FLOAT16, else FLOAT */
    bool is_in_main;                /* some Conv of the main graph reads it */
    bool is_depthwise;              /* all Convs that read it have an input a group */
    bool is_shared;                 /* a weight that meets it meets something else, too */
    struct i4q_histogram histogram; /* of the statistics */
    float *factors;                 /* [channels] that it is divided by, or NULL */
    struct i4q_range narrow, wide;  /* of the bits asked for, and of 8 bits */
    double loss;                    /* what the narrow one is likely to cost */
    enum i4q_activation_reason own; /* the reason that it has by itself */
    enum i4q_activation_reason reason;
    bool is_kept; /* it gets the wide range */
};

/* The range that it gets. */
const struct i4q_range *i4q_plan_activation_range(const struct i4q_plan_activation *activation);

#endif

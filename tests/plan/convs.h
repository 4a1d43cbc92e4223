// SPDX-License-Identifier: Apache-2.0
/* A model of some Convs, packed and loaded again: for tests of what is decided about weights. */
#ifndef INT4Q_TEST_CONVS_H
#define INT4Q_TEST_CONVS_H

#include "plan/plan.h"

/* A Conv; those that name the same weight share it. Its output is y_NAME. */
struct test_conv {
    const char *name, *weight;
    int64_t dims[4];     /* of the weight */
    const float *values; /* of the weight; NULL: a wave between -1 and 1 */
    bool bias;           /* it has one, of zeros */
    const char *input;   /* NULL: x, an image with as many channels as the first Conv reads */
    const char *then;    /* an operator behind it, of which z_NAME is the output; NULL: none */
    const char *with;    /* the other input of that operator; NULL: it has one */
};

enum { TEST_CONVS = 24 };

struct convs {
    uint8_t *bytes;
    struct i4q_model model;
    struct i4q_weights facts;
    struct i4q_plan_options options; /* INT4 by absmax, one scale a channel; what is kept stays as it is */
    struct i4q_plan plan;
    struct i4q_error error;
};

/* Loads a model of at most TEST_CONVS Convs and finds its weights. */
void convs_load(struct convs *convs, const struct test_conv *specs, size_t count);
void convs_free(struct convs *convs);

/* Makes convs->plan; the error, if there is one, fails the test. */
void convs_plan(struct convs *convs);

/* The reasons of a plan's rows as words, '-' for none, separated by blanks; valid until the next call. */
const char *convs_reasons(const struct i4q_plan *plan);

const struct i4q_kernels *convs_kernels(void);

#endif

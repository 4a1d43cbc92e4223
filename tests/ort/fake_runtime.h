// SPDX-License-Identifier: Apache-2.0
/*
 * As much of ONNX Runtime as the operator calls, in memory that the test can see: attributes and inputs of
 * one node, and calls that fail when they are told to. For what the real one cannot be asked: sanitizers, and
 * every failure.
 */
#ifndef INT4Q_TESTS_FAKE_RUNTIME_H
#define INT4Q_TESTS_FAKE_RUNTIME_H

#include <onnxruntime_c_api.h>

#include <stdatomic.h>
#include <stdbool.h>

enum { FAKE_RANK = 4, FAKE_INPUTS = 5, FAKE_ATTRIBUTES = 8, FAKE_INTS = 4 };

struct OrtValue {
    ONNXTensorElementDataType type; /* undefined: the input is left out */
    size_t rank;
    int64_t dims[FAKE_RANK];
    void *data;
};

struct OrtOpAttr {
    const char *name;
    OrtOpAttrType type; /* ORT_OP_ATTR_INT, _FLOAT or _INTS */
    size_t count;
    int64_t ints[FAKE_INTS];
    float number;
};

/* A node; what is 0 is not there. The first input has no constant value. */
struct OrtKernelInfo {
    struct OrtOpAttr attributes[FAKE_ATTRIBUTES];
    struct OrtValue inputs[FAKE_INPUTS];
};

/* A run of it. The output gets memory of the test's. */
struct OrtKernelContext {
    const struct OrtValue *inputs;
    struct OrtValue output;
};

struct OrtShapeInferContext {
    struct OrtKernelInfo *node;
    const char *names[FAKE_RANK]; /* of the dimensions of X */
    struct OrtValue output;       /* what was found; the rank stays 0 where nothing was */
    const char *output_names[FAKE_RANK];
};

struct OrtCustomOpDomain {
    const OrtCustomOp *operators[4];
    size_t count;
};

struct OrtSessionOptions {
    const struct OrtCustomOpDomain *domain;
};

/* Two of them, as a process may have them; the versions that they say they are. */
extern const OrtApiBase fake_runtime, fake_old_runtime, fake_ancient_runtime;

/* The call after this many fails, and no other; SIZE_MAX: none does. Not for threads. */
extern size_t fake_calls_left;

/* Statuses, descriptions and buffers that nobody has released. */
extern atomic_int fake_live;

#endif

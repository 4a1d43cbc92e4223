// SPDX-License-Identifier: Apache-2.0
/* What ONNX Runtime calls for a node: once when the session is made, then on each run. */
#ifndef INT4Q_ORT_KERNEL_H
#define INT4Q_ORT_KERNEL_H

#include "ort/calls.h"

/* Reads and checks the node, and packs its weights. */
OrtStatus *i4q_ort_kernel_create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                                 void **kernel);

/* May run several times at once. */
OrtStatus *i4q_ort_kernel_compute(void *kernel, OrtKernelContext *context);

void i4q_ort_kernel_destroy(void *kernel);

#endif

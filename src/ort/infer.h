// SPDX-License-Identifier: Apache-2.0
/* Tells ONNX Runtime the shape of Y while it loads a model, as far as it can be told: what comes after the
 * node can then be planned and simplified. */
#ifndef INT4Q_ORT_INFER_H
#define INT4Q_ORT_INFER_H

#include "ort/calls.h"

/* Nothing is set where a number of pixels is not known, or the node is wrong, which its kernel will tell. */
OrtStatus *i4q_ort_infer(const OrtApi *api, OrtShapeInferContext *context);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Calls into ONNX Runtime, whose failures are statuses, and ours, which are errors: from one to the other. */
#ifndef INT4Q_ORT_CALLS_H
#define INT4Q_ORT_CALLS_H

#include "base/error.h"

#include <onnxruntime_c_api.h>

/* The version of the interface that is asked for: the least that has all that is used, so that one binary
 * serves every ONNX Runtime since 1.19. */
enum { I4Q_ORT_API = 19 };

/* Whether a call succeeded; releases its status, and records what it says. */
bool i4q_ort_ok(const OrtApi *api, OrtStatus *status, struct i4q_error *error) I4Q_MUST_CHECK;

/* The same where failure is an answer. */
bool i4q_ort_succeeds(const OrtApi *api, OrtStatus *status) I4Q_MUST_CHECK;

/* The error as a status, about the node of this name; NULL when there is none. */
OrtStatus *i4q_ort_status(const OrtApi *api, const char *node, const struct i4q_error *error);

#endif

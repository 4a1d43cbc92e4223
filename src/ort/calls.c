// SPDX-License-Identifier: Apache-2.0
#include "ort/calls.h"

#include "int4q/ort.h"

#include <stdio.h>

bool i4q_ort_succeeds(const OrtApi *api, OrtStatus *status)
{
    if (!status)
        return true;
    api->ReleaseStatus(status);
    return false;
}

bool i4q_ort_ok(const OrtApi *api, OrtStatus *status, struct i4q_error *error)
{
    if (status)
        i4q_fail(error, I4Q_FAILED, "%s", api->GetErrorMessage(status));
    return i4q_ort_succeeds(api, status);
}

OrtStatus *i4q_ort_status(const OrtApi *api, const char *node, const struct i4q_error *error)
{
    char text[sizeof error->message + 256];
    if (error->code == I4Q_OK)
        return NULL;
    snprintf(text, sizeof text, INT4Q_ORT_OP " '%.200s': %s", node, error->message);
    return api->CreateStatus(error->code == I4Q_MODEL ? ORT_INVALID_GRAPH : ORT_FAIL, text);
}

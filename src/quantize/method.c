// SPDX-License-Identifier: Apache-2.0
#include "quantize/method.h"

#include <stddef.h>

const struct i4q_method i4q_methods[] = {
    {"absmax", I4Q_SCALE_ABSMAX, false, I4Q_ROUND_NEAREST, false},
    {"squant", I4Q_SCALE_RANGE, true, I4Q_ROUND_SQUANT, true},
    {"calibrated", I4Q_SCALE_RANGE, true, I4Q_ROUND_GPTQ, false},
    {.name = NULL},
};

bool i4q_method_searches(const struct i4q_method *method)
{
    return method->scale >= I4Q_SCALE_MSE;
}

bool i4q_method_needs_statistics(const struct i4q_method *method)
{
    return method->rounding >= I4Q_ROUND_DESCENT;
}

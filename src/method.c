// SPDX-License-Identifier: Apache-2.0
#include "int4q/method.h"

#include <stddef.h>
#include <string.h>

const struct i4q_method i4q_methods[] = {
    {"absmax", I4Q_SCALE_ABSMAX, I4Q_ROUND_NEAREST, "largest magnitude, nearest code"},
    {.name = NULL},
};

const struct i4q_method *i4q_method_find(const char *name)
{
    for (const struct i4q_method *method = i4q_methods; method->name; method++)
        if (strcmp(method->name, name) == 0)
            return method;
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void set(struct i4q_error *error, enum i4q_code code, const char *format, va_list arguments)
{
    if (error->code)
        return;
    error->code = code;
    vsnprintf(error->message, sizeof error->message, format, arguments);
}

bool i4q_fail(struct i4q_error *error, enum i4q_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set(error, code, format, arguments);
    va_end(arguments);
    return false;
}

bool i4q_fail_errno(struct i4q_error *error, const char *format, ...)
{
    int cause = errno;
    if (error->code)
        return false;
    va_list arguments;
    va_start(arguments, format);
    set(error, I4Q_FAILED, format, arguments);
    va_end(arguments);
    size_t length = strlen(error->message);
    snprintf(error->message + length, sizeof error->message - length, ": %s", strerror(cause));
    return false;
}

bool i4q_fail_memory(struct i4q_error *error)
{
    return i4q_fail(error, I4Q_FAILED, "out of memory");
}

// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Behind what the message says. */
static void append(struct i4q_error *error, const char *format, va_list arguments)
{
    size_t length = strlen(error->message);
    vsnprintf(error->message + length, sizeof error->message - length, format, arguments);
}

static void set(struct i4q_error *error, enum i4q_code code, const char *format, va_list arguments)
{
    if (error->code)
        return;
    error->code = code;
    *error->message = '\0';
    append(error, format, arguments);
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
    return i4q_fail_more(error, ": %s", strerror(cause));
}

bool i4q_fail_more(struct i4q_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(error, format, arguments);
    va_end(arguments);
    return false;
}

bool i4q_fail_memory(struct i4q_error *error)
{
    return i4q_fail(error, I4Q_FAILED, "out of memory");
}

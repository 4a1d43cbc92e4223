// SPDX-License-Identifier: Apache-2.0
/*
 * Errors travel as values: a function that can fail takes a `struct i4q_error *` last, fills it and returns
 * false (or NULL). Nothing in the core prints or exits; main() turns the error into one line and an exit
 * status. The first error wins: once set, later calls leave it alone, so clean-up code may fail without
 * hiding the cause.
 */
#ifndef INT4Q_BASE_ERROR_H
#define INT4Q_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define I4Q_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define I4Q_MUST_CHECK          __attribute__((warn_unused_result))

/* Also the exit statuses of the tool (see docs/reference.md). */
enum i4q_code {
    I4Q_OK = 0,
    I4Q_FAILED = 1, /* could not do it: I/O, memory, output exists */
    I4Q_USAGE = 2,  /* unknown option, bad value or combination, pattern without a match */
    I4Q_MODEL = 3,  /* the model or the JSON is malformed or unsupported */
    I4Q_UNMET = 4,  /* nothing to quantize, or a --require that does not hold */
};

struct i4q_error {
    enum i4q_code code; /* I4Q_OK while nothing has failed */
    const char *file;   /* that it is about, borrowed; NULL: the one that the caller is at work on */
    char message[1024]; /* one line: object, what is wrong, with the numbers; no capital, no full stop */
};

/* Each records the error unless one is there already, and returns false so that `return i4q_fail(...)` reads
 * well. i4q_fail_errno appends ": " and the text of errno, and its code is I4Q_FAILED. */
bool i4q_fail(struct i4q_error *error, enum i4q_code code, const char *format, ...) I4Q_PRINTF(3, 4);
bool i4q_fail_errno(struct i4q_error *error, const char *format, ...) I4Q_PRINTF(2, 3);

/* Adds to the message of an error that is there. Returns false. */
bool i4q_fail_more(struct i4q_error *error, const char *format, ...) I4Q_PRINTF(2, 3);

/* The usual words for an allocation that failed. */
bool i4q_fail_memory(struct i4q_error *error);

#endif

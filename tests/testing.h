// SPDX-License-Identifier: Apache-2.0
/* What every test program includes: cmocka with the headers that it wants before it. */
#ifndef INT4Q_TESTING_H
#define INT4Q_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/view.h"

/* A string literal as a view, without its terminator. */
#define VIEW(text) ((struct i4q_view){(const uint8_t *)(text), sizeof(text) - 1})

/* The error has this code, and its message this part. */
#define assert_failed(error, expected, part)                                                                 \
    do {                                                                                                     \
        assert_int_equal((error).code, expected);                                                            \
        if (!strstr((error).message, part))                                                                  \
            fail_msg("the message \"%s\" lacks \"%s\"", (error).message, part);                              \
    } while (0)

#endif

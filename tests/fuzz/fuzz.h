// SPDX-License-Identifier: Apache-2.0
/* What the fuzz targets share. A target is a file with one LLVMFuzzerTestOneInput, which REQUIREs properties
 * of whatever the library makes of the bytes; crashes, leaks and time are watched by what runs it. */
#ifndef INT4Q_FUZZ_H
#define INT4Q_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, also there in a release build. */
#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* For errors that must not be: tells which one it was. */
#define REQUIRE_OK(condition, error)                                                                         \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, (error).message);             \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#endif

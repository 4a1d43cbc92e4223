// SPDX-License-Identifier: Apache-2.0
/* A whole file as bytes: mapped where it is a regular file, read into memory where it is not (pipes,
 * devices). */
#ifndef INT4Q_PLATFORM_FILE_H
#define INT4Q_PLATFORM_FILE_H

#include "base/error.h"
#include "base/view.h"

struct i4q_input {
    struct i4q_view bytes; /* valid until i4q_input_close */
    bool mapped;
};

/* Opens and reads `path`; "-" is standard input. At most `limit` bytes (more is I4Q_MODEL: too large for what
 * it is to be). Other failures are I4Q_FAILED. */
bool i4q_input_open(struct i4q_input *input, const char *path, size_t limit,
                    struct i4q_error *error) I4Q_MUST_CHECK;

/* Gives back the pages of bytes that are mapped from a file: they stay in the page cache. */
void i4q_input_release(struct i4q_view mapped);

void i4q_input_close(struct i4q_input *input);

#endif

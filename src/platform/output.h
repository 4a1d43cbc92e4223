// SPDX-License-Identifier: Apache-2.0
/*
 * A file that appears whole or not at all. Bytes go to a temporary file beside the target; commit makes them
 * durable and renames it, abort removes it. Standard output ("-") and what is no regular file (/dev/null, a
 * pipe) are written to directly. A file that is replaced hands on its permissions, and its owner and group
 * where that is allowed; a symbolic link is itself replaced, the file that it leads to stays.
 *
 *   open → append … → commit      or at any time → abort (harmless after commit, and on a zeroed struct)
 *
 * The sink is sticky: after the first failed write the rest is ignored, and commit reports that first error.
 */
#ifndef INT4Q_PLATFORM_OUTPUT_H
#define INT4Q_PLATFORM_OUTPUT_H

#include "base/error.h"
#include "platform/temporary.h"

#include <stddef.h>

enum i4q_output_mode {
    I4Q_OUTPUT_NEW,     /* an existing file is an error, also one that appears meanwhile */
    I4Q_OUTPUT_REPLACE, /* an existing file is replaced */
};

struct i4q_output {
    const char *path; /* borrowed */
    enum i4q_output_mode mode;
    int fd;
    struct i4q_temporary temporary; /* none when written to directly */
    uint8_t *buffer;                /* NULL: not open */
    size_t used;
    uint64_t total; /* bytes appended so far */
    /* Called after bytes that bypassed the buffer were written; may be NULL. */
    void (*sent)(void *context, size_t bytes);
    void *context;
    int write_errno; /* of the first failed write; 0: none */
};

/* Whether `path` may be written in this mode; the error tells why not (I4Q_FAILED). To be asked before long
 * work. */
bool i4q_output_check(const char *path, enum i4q_output_mode mode, struct i4q_error *error) I4Q_MUST_CHECK;

bool i4q_output_open(struct i4q_output *output, const char *path, enum i4q_output_mode mode,
                     struct i4q_error *error) I4Q_MUST_CHECK;

/* A file that belongs to a model, in the same mode; if it is new, with the model's owner and permissions. */
bool i4q_output_open_beside(struct i4q_output *output, const char *path, const struct i4q_output *model,
                            struct i4q_error *error) I4Q_MUST_CHECK;
void i4q_output_append(struct i4q_output *output, const void *data, size_t size);
bool i4q_output_commit(struct i4q_output *output, struct i4q_error *error) I4Q_MUST_CHECK;

/* Commits two files of one directory of which the second needs the first: both get their names, or none does;
 * only a kill between two system calls could come in the way. error->file may be set. */
bool i4q_output_commit_both(struct i4q_output *first, struct i4q_output *second,
                            struct i4q_error *error) I4Q_MUST_CHECK;
void i4q_output_abort(struct i4q_output *output);

#endif

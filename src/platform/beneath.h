// SPDX-License-Identifier: Apache-2.0
/*
 * Files with external data, opened only beneath the directory of the model and nowhere else: the location is
 * relative and has no ".."; no component is a symbolic link; the file is regular and has no second name (hard
 * link). The kernel resolves the path (openat2), or each component is opened by itself where it cannot.
 *
 * Each file is mapped once and stays so until i4q_external_close.
 */
#ifndef INT4Q_PLATFORM_BENEATH_H
#define INT4Q_PLATFORM_BENEATH_H

#include "base/error.h"
#include "base/table.h"
#include "base/view.h"
#include "platform/identity.h"

struct i4q_external_file {
    const char *location; /* as in the model */
    struct i4q_view bytes;
    struct i4q_inode inode;
};

struct i4q_external {
    int directory;                   /* -1: the model has none (standard input) */
    bool follow_symlinks;            /* symbolic and hard links are fine, also to outside */
    struct i4q_external_file *files; /* in the order in which they were first used */
    size_t n_files, capacity;
    struct i4q_table numbers; /* of the files, counted from 1, by location; in an arena */
};

/* The directory of the model at `path`; "-" has none, so that every file is refused. */
bool i4q_external_init(struct i4q_external *external, struct i4q_arena *arena, const char *path,
                       bool follow_symlinks, struct i4q_error *error) I4Q_MUST_CHECK;
void i4q_external_close(struct i4q_external *external);

/* `length` bytes from `offset` on of the file at `location`, which must live as long as the arena; SIZE_MAX:
 * the rest of it. I4Q_MODEL: a location that is not allowed or not there, a range that is not inside the
 * file; I4Q_FAILED: it cannot be read. */
bool i4q_external_read(struct i4q_external *external, const char *location, uint64_t offset, uint64_t length,
                       struct i4q_view *bytes, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

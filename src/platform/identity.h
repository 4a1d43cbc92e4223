// SPDX-License-Identifier: Apache-2.0
/*
 * Which file a path means, so that two names of one file can be told from two files. A path means a place,
 * that is a name in a directory, whether there is something or not, and the file that is there, through
 * links. A file that is replaced loses its place only, so both count.
 */
#ifndef INT4Q_PLATFORM_IDENTITY_H
#define INT4Q_PLATFORM_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct i4q_inode {
    bool known; /* false: nothing is there */
    uint64_t device, number;
};

struct i4q_identity {
    struct i4q_inode file;   /* that is there, links followed */
    struct i4q_inode folder; /* that holds the name */
    const char *name;        /* the last part of the path, which it borrows */
    size_t name_length;
    bool is_special; /* the file is neither a regular one nor a directory: a pipe, a device */
    bool is_link;    /* the name is a symbolic link */
};

/* What stat(2) found. */
struct stat;
struct i4q_inode i4q_inode_of(const struct stat *status);

/* That there is nothing is no failure; false with errno: it cannot be found out. */
bool i4q_identify(struct i4q_identity *identity, const char *path);

/* Open files; they have no place. */
bool i4q_identify_stdin(struct i4q_identity *identity);
bool i4q_identify_stdout(struct i4q_identity *identity);

/* Whether there is something that is neither a regular file nor a directory. */
bool i4q_is_special(const char *path);

bool i4q_same_inode(const struct i4q_inode *a, const struct i4q_inode *b);

/* The same name in the same directory. */
bool i4q_same_place(const struct i4q_identity *a, const struct i4q_identity *b);

/* The same place or the same file. */
bool i4q_same_file(const struct i4q_identity *a, const struct i4q_identity *b);

/* Whether the path is one of the links in /dev and /proc that stand for descriptors, and leads to a regular
 * file: then that link would be replaced, by whoever may, rather than the file written to. */
bool i4q_is_descriptor(const char *path);

#endif

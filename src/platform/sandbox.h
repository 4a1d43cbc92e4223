// SPDX-License-Identifier: Apache-2.0
/*
 * Gives up what the process will not need, so that a bug in a parser opens nothing else: other files
 * (Landlock, Linux 5.13), and all system calls but those that read files, compute in threads and write files
 * (seccomp), thus new programs, other processes and the network. What the kernel does not have is left out,
 * and so is the rule of files where it could not be made for all that is needed.
 *
 *   begin → allow … → enter
 */
#ifndef INT4Q_PLATFORM_SANDBOX_H
#define INT4Q_PLATFORM_SANDBOX_H

#include <stdint.h>

enum i4q_access {
    I4Q_ACCESS_READ = 1,      /* the file, or all beneath the directory */
    I4Q_ACCESS_WRITE = 2,     /* the file */
    I4Q_ACCESS_DIRECTORY = 4, /* files in the directory: make, write, replace, remove */
};

struct i4q_sandbox {
    int abi;     /* of Landlock; 0: there is none */
    int ruleset; /* a descriptor, -1: there is none */
};

void i4q_sandbox_begin(struct i4q_sandbox *sandbox);

/* Lets `path` be used; `access` is a sum of i4q_access. A path that is not there needs no permission. */
void i4q_sandbox_allow(struct i4q_sandbox *sandbox, const char *path, unsigned access);

/* The same of the directory that holds what `path` names. */
void i4q_sandbox_allow_folder(struct i4q_sandbox *sandbox, const char *path, unsigned access);

/* From here on there is no way back, for this thread and those that it starts. Returns what is in force, as a
 * text for people. */
const char *i4q_sandbox_enter(struct i4q_sandbox *sandbox);

#endif

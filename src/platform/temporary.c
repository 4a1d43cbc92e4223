// SPDX-License-Identifier: Apache-2.0
#include "platform/temporary.h"

#include "platform/random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_FILES = 8,   /* at once */
    MAX_TRIES = 100, /* for a free name */
};

/* A slot is NULL whenever its file is not ours. */
static _Atomic(char *) paths[MAX_FILES];

void i4q_temporaries_remove(void)
{
    for (int i = 0; i < MAX_FILES; i++) {
        char *path = atomic_exchange(&paths[i], NULL);
        if (path)
            unlink(path);
    }
}

static int remember(char *path)
{
    for (int i = 0; i < MAX_FILES; i++) {
        char *expected = NULL;
        if (atomic_compare_exchange_strong(&paths[i], &expected, path))
            return i;
    }
    return -1;
}

/* A name beside `target` that nothing else uses. Where it would be too long the target's name is cut, before
 * a whole UTF-8 character, as some file systems want names to be. */
static char *make_name(const char *target)
{
    enum { SUFFIX = sizeof ".01234567.tmp" - 1 };
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    size_t directory = (size_t)(name - target), length = strlen(name);
    if (length > NAME_MAX - SUFFIX)
        for (length = NAME_MAX - SUFFIX; length && (name[length] & 0xc0) == 0x80;)
            length--;
    uint32_t random;
    char *path;
    i4q_random(&random, sizeof random);
    return asprintf(&path, "%.*s.%08x.tmp", (int)(directory + length), target, random) < 0 ? NULL : path;
}

typedef int make_fn(const char *target, const char *path, mode_t mode);

/* Makes the file; its name is in the table before it exists, so that a signal cannot slip between. */
static int make(struct i4q_temporary *temporary, const char *target, make_fn *make_file, mode_t mode)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        temporary->path = make_name(target);
        if (!temporary->path) {
            errno = ENOMEM;
            return -1;
        }
        temporary->slot = remember(temporary->path);
        int result = make_file(target, temporary->path, mode), cause = errno;
        if (result >= 0)
            return result;
        i4q_temporary_forget(temporary);
        errno = cause;
        if (cause != EEXIST)
            break;
    }
    return -1;
}

static int create(const char *target, const char *path, mode_t mode)
{
    (void)target;
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
}

static int link_to(const char *target, const char *path, mode_t mode)
{
    (void)mode;
    return link(target, path);
}

int i4q_temporary_create(struct i4q_temporary *temporary, const char *target, mode_t mode)
{
    return make(temporary, target, create, mode);
}

bool i4q_temporary_link(struct i4q_temporary *temporary, const char *target)
{
    return make(temporary, target, link_to, 0) == 0;
}

void i4q_temporary_forget(struct i4q_temporary *temporary)
{
    if (!temporary->path)
        return;
    /* A handler that has taken the path out of the table is about to use it: then it is not ours to free. */
    bool ours = temporary->slot < 0 || atomic_exchange(&paths[temporary->slot], NULL);
    if (ours)
        free(temporary->path);
    temporary->path = NULL;
}

void i4q_temporary_remove(struct i4q_temporary *temporary)
{
    if (temporary->path)
        unlink(temporary->path);
    i4q_temporary_forget(temporary);
}

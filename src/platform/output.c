// SPDX-License-Identifier: Apache-2.0
#include "platform/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = 1 << 16,
    DIRECT_SIZE = 1 << 15, /* spans at least this large bypass the buffer: a call costs less than a copy */
    MAX_WRITE = 8 << 20,   /* bytes of one system call, so that `sent` is called often enough */
    MAX_OPEN = 4,          /* outputs open at once */
    MAX_TRIES = 100,       /* for a free temporary name */
};

/* Temporary files to remove when the process dies of a signal. A slot is NULL whenever its file is not ours.
 */
static _Atomic(char *) temporaries[MAX_OPEN];

void i4q_output_remove_temporaries(void)
{
    for (int i = 0; i < MAX_OPEN; i++) {
        char *path = atomic_exchange(&temporaries[i], NULL);
        if (path)
            unlink(path);
    }
}

static int remember(char *path)
{
    for (int i = 0; i < MAX_OPEN; i++) {
        char *expected = NULL;
        if (atomic_compare_exchange_strong(&temporaries[i], &expected, path))
            return i;
    }
    return -1;
}

/* ---- opening */

static bool is_stdout(const char *path)
{
    return strcmp(path, "-") == 0;
}

bool i4q_output_check(const char *path, enum i4q_output_mode mode, struct i4q_error *error)
{
    struct stat status;
    if (is_stdout(path))
        return true;
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return i4q_fail(error, I4Q_FAILED, "is a directory");
        if (S_ISREG(status.st_mode) && mode == I4Q_OUTPUT_NEW)
            return i4q_fail(error, I4Q_FAILED, "already exists; use -f to replace it");
        return true;
    }
    if (errno != ENOENT)
        return i4q_fail_errno(error, "cannot create");
    return true;
}

/* A name beside `path` that nothing else uses: PATH.<random>.tmp */
static char *temporary_name(const char *path)
{
    uint32_t random = 0;
    char *name;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)getpid();
    return asprintf(&name, "%s.%08x.tmp", path, random) < 0 ? NULL : name;
}

/* Creates the temporary file; it is in the table before it exists, so that a signal cannot slip between. */
static bool create_temporary(struct i4q_output *output, struct i4q_error *error)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        output->temporary = temporary_name(output->path);
        if (!output->temporary)
            return i4q_fail_memory(error);
        output->slot = remember(output->temporary);
        output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (output->fd >= 0)
            return true;
        int cause = errno;
        if (output->slot >= 0)
            atomic_store(&temporaries[output->slot], NULL);
        free(output->temporary);
        output->temporary = NULL;
        errno = cause;
        if (cause != EEXIST)
            break;
    }
    return i4q_fail_errno(error, "cannot create");
}

/* A replaced file keeps its permissions. */
static bool open_file(struct i4q_output *output, struct i4q_error *error)
{
    struct stat status;
    bool exists = stat(output->path, &status) == 0;
    if (exists && !S_ISREG(status.st_mode)) {
        output->fd = open(output->path, O_WRONLY | O_CLOEXEC);
        return output->fd >= 0 || i4q_fail_errno(error, "cannot open");
    }
    if (!create_temporary(output, error))
        return false;
    if (exists && fchmod(output->fd, status.st_mode & 0777) != 0)
        return i4q_fail_errno(error, "cannot set permissions");
    return true;
}

static void append_from_protobuf(ProtobufCBuffer *base, size_t size, const uint8_t *data)
{
    i4q_output_append((struct i4q_output *)base, data, size);
}

bool i4q_output_open(struct i4q_output *output, const char *path, enum i4q_output_mode mode,
                     struct i4q_error *error)
{
    *output = (struct i4q_output){
        .base.append = append_from_protobuf, .path = path, .mode = mode, .fd = -1, .slot = -1};
    if (!i4q_output_check(path, mode, error))
        return false;
    output->buffer = malloc(BUFFER_SIZE);
    if (!output->buffer)
        return i4q_fail_memory(error);
    if (is_stdout(path))
        output->fd = STDOUT_FILENO;
    else if (!open_file(output, error)) {
        i4q_output_abort(output);
        return false;
    }
    return true;
}

/* ---- writing */

static void write_all(struct i4q_output *output, const uint8_t *data, size_t size)
{
    while (size && !output->write_errno) {
        ssize_t n = write(output->fd, data, size < MAX_WRITE ? size : MAX_WRITE);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
            if (output->sent && data - n != output->buffer)
                output->sent(output->context, (size_t)n);
        } else if (errno != EINTR) {
            output->write_errno = errno;
        }
    }
}

static void flush(struct i4q_output *output)
{
    write_all(output, output->buffer, output->used);
    output->used = 0;
}

void i4q_output_append(struct i4q_output *output, const void *data, size_t size)
{
    output->total += size;
    if (size > BUFFER_SIZE - output->used || size >= DIRECT_SIZE)
        flush(output);
    if (size >= DIRECT_SIZE)
        write_all(output, data, size);
    else if (size) {
        memcpy(output->buffer + output->used, data, size);
        output->used += size;
    }
}

/* ---- ending */

static void release(struct i4q_output *output)
{
    /* A handler that has taken the name out of the table is about to use it: then it is not ours to free. */
    bool ours = output->slot < 0 || atomic_exchange(&temporaries[output->slot], NULL);
    if (ours)
        free(output->temporary);
    free(output->buffer);
    *output = (struct i4q_output){.fd = -1, .slot = -1};
}

void i4q_output_abort(struct i4q_output *output)
{
    if (!output->buffer)
        return;
    if (output->fd >= 0 && output->fd != STDOUT_FILENO)
        close(output->fd);
    if (output->temporary)
        unlink(output->temporary);
    release(output);
}

/* Makes a new or replaced directory entry durable. A directory that cannot be opened or synced (some network
 * file systems) is no reason to call a finished file lost. */
static void sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(copy);
}

/* Without -f the target must still not exist. File systems that cannot say so atomically are asked by
 * link(2), which never replaces anything. */
static bool rename_new(const struct i4q_output *output)
{
    if (renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    return link(output->temporary, output->path) == 0 && unlink(output->temporary) == 0;
}

static bool close_file(struct i4q_output *output, struct i4q_error *error)
{
    /* Pipes and devices cannot be synced (EINVAL); a regular file must be before it takes the target's name.
     */
    if (output->temporary && fsync(output->fd) != 0)
        return i4q_fail_errno(error, "cannot write");
    int fd = output->fd;
    output->fd = -1;
    if (fd != STDOUT_FILENO && close(fd) != 0)
        return i4q_fail_errno(error, "cannot write");
    return true;
}

static bool give_name(struct i4q_output *output, struct i4q_error *error)
{
    if (!output->temporary)
        return true;
    bool done =
        output->mode == I4Q_OUTPUT_NEW ? rename_new(output) : rename(output->temporary, output->path) == 0;
    return done || i4q_fail_errno(error, "cannot rename the finished file");
}

/* The bytes are durable, and have no name yet. */
static bool finish(struct i4q_output *output, struct i4q_error *error)
{
    flush(output);
    if (output->write_errno == EFAULT) /* written from the mapping of a file that lost its end meanwhile */
        return i4q_fail(error, I4Q_FAILED, "cannot write: a file became shorter while it was read");
    errno = output->write_errno;
    return (!errno || i4q_fail_errno(error, "cannot write")) && close_file(output, error);
}

bool i4q_output_commit(struct i4q_output *output, struct i4q_error *error)
{
    if (!finish(output, error) || !give_name(output, error)) {
        i4q_output_abort(output);
        return false;
    }
    if (output->temporary)
        sync_directory(output->path);
    release(output);
    return true;
}

/* ---- two files that need each other */

enum undo { UNDO_NOTHING, UNDO_CREATION, UNDO_EXCHANGE };

/* Gives a name in a way that can be undone, where the file system lets us: a file that is replaced takes the
 * temporary name instead. */
static bool lend_name(struct i4q_output *output, enum undo *undo, struct i4q_error *error)
{
    *undo = UNDO_NOTHING;
    if (output->temporary && output->mode == I4Q_OUTPUT_REPLACE &&
        renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, RENAME_EXCHANGE) == 0)
        *undo = UNDO_EXCHANGE;
    else if (!give_name(output, error))
        return false;
    else if (output->mode == I4Q_OUTPUT_NEW)
        *undo = UNDO_CREATION;
    return true;
}

static void take_back(const struct i4q_output *output, enum undo undo)
{
    if (undo == UNDO_EXCHANGE)
        (void)!renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, RENAME_EXCHANGE);
    else if (undo == UNDO_CREATION && output->temporary)
        unlink(output->path);
}

static bool give_names(struct i4q_output *first, struct i4q_output *second, struct i4q_error *error)
{
    enum undo undo;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all,
                    &old); /* a handler would remove temporary files, which may be old ones */
    bool ok = lend_name(first, &undo, error);
    if (ok && !give_name(second, error)) {
        take_back(first, undo);
        ok = false;
    } else if (ok && undo == UNDO_EXCHANGE)
        unlink(first->temporary);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return ok;
}

bool i4q_output_commit_both(struct i4q_output *first, struct i4q_output *second, struct i4q_error *error)
{
    bool ok = true;
    struct i4q_output *const both[] = {first, second};
    for (int i = 0; ok && i < 2; i++)
        if (!finish(both[i], error)) {
            error->file = both[i]->path;
            ok = false;
        }
    ok = ok && give_names(first, second, error);
    if (ok && second->temporary)
        sync_directory(second->path);
    for (int i = 0; i < 2; i++)
        if (ok)
            release(both[i]);
        else
            i4q_output_abort(both[i]);
    return ok;
}

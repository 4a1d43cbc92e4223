// SPDX-License-Identifier: Apache-2.0
#include "platform/output.h"

#include "platform/rename.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = 1 << 16,
    DIRECT_SIZE = 1 << 15, /* spans at least this large bypass the buffer: a call costs less than a copy */
    MAX_WRITE = 8 << 20,   /* bytes of one system call, so that `sent` is called often enough */
};

/* ---- opening */

static bool is_stdout(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* A link is a name that is taken, wherever it leads, if not to something that is written to as it is. */
bool i4q_output_check(const char *path, enum i4q_output_mode mode, struct i4q_error *error)
{
    struct stat status;
    if (is_stdout(path))
        return true;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || i4q_fail_errno(error, "cannot create");
    bool is_link = S_ISLNK(status.st_mode), leads = !is_link || stat(path, &status) == 0;
    if (leads && S_ISDIR(status.st_mode))
        return i4q_fail(error, I4Q_FAILED, "is a directory");
    if ((!leads || S_ISREG(status.st_mode)) && mode == I4Q_OUTPUT_NEW)
        return i4q_fail(error, I4Q_FAILED, "already exists; -f replaces it, -o FILE takes another name");
    return true;
}

/* Gives the file owner, group and permissions of another, as far as that is allowed. A group that it cannot
 * have gets what both it and all others had. */
static bool copy_permissions(int fd, const struct stat *from)
{
    struct stat now;
    mode_t mode = from->st_mode & 0777, both = mode >> 3 & mode & 07;
    if (fstat(fd, &now) != 0)
        return false;
    if (now.st_uid != from->st_uid && fchown(fd, from->st_uid, from->st_gid) == 0)
        now.st_gid = from->st_gid;
    if (now.st_gid != from->st_gid && fchown(fd, (uid_t)-1, from->st_gid) != 0)
        mode = (mode_t)((mode & 0700) | both << 3 | both);
    return fchmod(fd, mode) == 0;
}

/* What is to look like another file is nobody else's until it does. */
static bool create(struct i4q_output *output, const struct stat *like, struct i4q_error *error)
{
    output->fd = i4q_temporary_create(&output->temporary, output->path, like ? 0600 : 0666);
    if (output->fd < 0)
        return i4q_fail_errno(error, "cannot create");
    return !like || copy_permissions(output->fd, like) || i4q_fail_errno(error, "cannot set permissions");
}

/* A replaced file keeps its permissions; a new one gets those of `model`, if there is one. */
static bool open_file(struct i4q_output *output, const struct i4q_output *model, struct i4q_error *error)
{
    struct stat status;
    bool exists = stat(output->path, &status) == 0;
    if (exists && !S_ISREG(status.st_mode)) {
        output->fd = open(output->path, O_WRONLY | O_CLOEXEC);
        return output->fd >= 0 || i4q_fail_errno(error, "cannot open");
    }
    if (!exists && model && fstat(model->fd, &status) != 0)
        return i4q_fail_errno(error, "cannot read permissions");
    return create(output, exists || model ? &status : NULL, error);
}

static bool open_output(struct i4q_output *output, const struct i4q_output *model, struct i4q_error *error)
{
    if (!i4q_output_check(output->path, output->mode, error))
        return false;
    output->buffer = malloc(BUFFER_SIZE);
    if (!output->buffer)
        return i4q_fail_memory(error);
    if (is_stdout(output->path))
        output->fd = STDOUT_FILENO;
    else if (!open_file(output, model, error)) {
        i4q_output_abort(output);
        return false;
    }
    return true;
}

bool i4q_output_open(struct i4q_output *output, const char *path, enum i4q_output_mode mode,
                     struct i4q_error *error)
{
    *output = (struct i4q_output){.path = path, .mode = mode, .fd = -1};
    return open_output(output, NULL, error);
}

bool i4q_output_open_beside(struct i4q_output *output, const char *path, const struct i4q_output *model,
                            struct i4q_error *error)
{
    *output = (struct i4q_output){.path = path, .mode = model->mode, .fd = -1};
    return open_output(output, model, error);
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
    i4q_temporary_forget(&output->temporary);
    free(output->buffer);
    *output = (struct i4q_output){.fd = -1};
}

void i4q_output_abort(struct i4q_output *output)
{
    if (!output->buffer)
        return;
    if (output->fd >= 0 && output->fd != STDOUT_FILENO)
        close(output->fd);
    i4q_temporary_remove(&output->temporary);
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

static bool close_file(struct i4q_output *output, struct i4q_error *error)
{
    /* Pipes and devices cannot be synced (EINVAL); a regular file must be before it takes the target's name.
     */
    if (output->temporary.path && fsync(output->fd) != 0)
        return i4q_fail_errno(error, "cannot write");
    int fd = output->fd;
    output->fd = -1;
    if (fd != STDOUT_FILENO && close(fd) != 0)
        return i4q_fail_errno(error, "cannot write");
    return true;
}

static bool give_name(struct i4q_output *output, struct i4q_error *error)
{
    const char *from = output->temporary.path;
    if (!from)
        return true;
    bool done =
        output->mode == I4Q_OUTPUT_NEW ? i4q_rename_new(from, output->path) : rename(from, output->path) == 0;
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
    if (output->temporary.path)
        sync_directory(output->path);
    release(output);
    return true;
}

/* ---- two files that need each other */

/* The first file has got its name before it is sure that the second gets its own. What it replaced is kept,
 * under a temporary name, where the file system has hard links. */
static bool give_names(struct i4q_output *first, struct i4q_output *second, struct i4q_error *error)
{
    struct stat status;
    struct i4q_temporary old = {0};
    bool is_new = lstat(first->path, &status) != 0;
    if (!is_new && first->mode == I4Q_OUTPUT_REPLACE)
        (void)!i4q_temporary_link(&old, first->path);
    bool named = give_name(first, error), ok = named && give_name(second, error);
    if (named && !ok && is_new)
        unlink(first->path);
    if (named && !ok && old.path && rename(old.path, first->path) == 0)
        i4q_temporary_forget(&old);
    i4q_temporary_remove(&old);
    return ok;
}

/* A signal between the two would leave one of them. */
static bool give_names_undisturbed(struct i4q_output *first, struct i4q_output *second,
                                   struct i4q_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool ok = give_names(first, second, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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
    ok = ok && give_names_undisturbed(first, second, error);
    if (ok && second->temporary.path)
        sync_directory(second->path);
    for (int i = 0; i < 2; i++)
        if (ok)
            release(both[i]);
        else
            i4q_output_abort(both[i]);
    return ok;
}

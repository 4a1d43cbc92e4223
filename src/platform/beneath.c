// SPDX-License-Identifier: Apache-2.0
#include "platform/beneath.h"

#include "platform/native.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* To open files in a directory, which need not be readable for that. */
#ifdef O_PATH
enum { SEARCH = O_PATH };
#elif defined(O_SEARCH)
enum { SEARCH = O_SEARCH };
#else
enum { SEARCH = O_RDONLY };
#endif

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY }; /* a FIFO must not make us wait */

bool i4q_external_init(struct i4q_external *external, struct i4q_arena *arena, const char *path,
                       bool follow_symlinks, struct i4q_error *error)
{
    *external = (struct i4q_external){.directory = -1, .follow_symlinks = follow_symlinks};
    i4q_table_init(&external->numbers, arena);
    if (strcmp(path, "-") == 0)
        return true;
    char *copy = strdup(path);
    if (!copy)
        return i4q_fail_memory(error);
    external->directory = open(dirname(copy), SEARCH | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    return external->directory >= 0 || i4q_fail_errno(error, "cannot open its directory");
}

void i4q_external_close(struct i4q_external *external)
{
    for (size_t i = 0; i < external->n_files; i++)
        if (external->files[i].bytes.size)
            munmap((void *)external->files[i].bytes.data, external->files[i].bytes.size);
    free(external->files);
    if (external->directory >= 0)
        close(external->directory);
    *external = (struct i4q_external){.directory = -1};
}

/* ---- opening */

/* Whether some component of the path is "..". */
static bool has_dot_dot(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || !at[2]))
            return true;
    }
    return false;
}

/* Component by component, none of which may be a link; for kernels before 5.6. */
static int open_stepwise(int directory, const char *location)
{
    bool too_long = strlen(location) >= PATH_MAX; /* for the kernel as well, in one piece */
    int at = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    for (const char *from = location; at >= 0;) {
        char component[NAME_MAX + 1];
        size_t length = strcspn(from, "/");
        const char *rest = from + length + strspn(from + length, "/");
        int flags = *rest ? SEARCH | O_DIRECTORY | O_CLOEXEC : OPEN_FLAGS | (from[length] ? O_DIRECTORY : 0);
        if (too_long || length > NAME_MAX) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(component, from, length);
        component[length] = '\0';
        int next = openat(at, component, O_NOFOLLOW | flags);
        close(at);
        if (!*rest)
            return next;
        at = next;
        from = rest;
    }
    if (at >= 0)
        close(at);
    return -1;
}

static int open_beneath(int directory, const char *location)
{
    int fd = i4q_native_open_beneath(directory, location, OPEN_FLAGS);
    return fd < 0 && errno == ENOSYS ? open_stepwise(directory, location) : fd;
}

static bool check_location(const struct i4q_external *external, const char *location, struct i4q_error *error)
{
    if (external->directory < 0)
        return i4q_fail(error, I4Q_MODEL, "a model from standard input cannot have external data ('%s')",
                        location);
    if (!*location)
        return i4q_fail(error, I4Q_MODEL, "external data without a location");
    if (*location == '/' || has_dot_dot(location))
        return i4q_fail(error, I4Q_MODEL, "location '%s' is not beneath the model's directory", location);
    return true;
}

static bool check_file(const struct i4q_external *external, const char *location, int fd, struct stat *status,
                       struct i4q_error *error)
{
    if (fstat(fd, status) != 0)
        return i4q_fail_errno(error, "'%s'", location);
    if (!S_ISREG(status->st_mode))
        return i4q_fail(error, I4Q_MODEL, "'%s' is not a regular file", location);
    if (status->st_nlink > 1 && !external->follow_symlinks)
        return i4q_fail(error, I4Q_MODEL, "'%s' has a second hard link; --follow-symlinks allows it",
                        location);
    return true;
}

static bool map(int fd, const char *location, const struct stat *status, struct i4q_view *bytes,
                struct i4q_error *error)
{
    *bytes = (struct i4q_view){NULL, (size_t)status->st_size};
    if (!bytes->size)
        return true;
    void *data = mmap(NULL, bytes->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return i4q_fail_errno(error, "'%s': cannot map %zu bytes", location, bytes->size);
    bytes->data = data;
    return true;
}

/* There is no such file, or what is there is none. All else may be another time, or for somebody else. */
static bool is_fault_of_model(int cause)
{
    return cause == ENOENT || cause == ENOTDIR || cause == ENAMETOOLONG || cause == ENXIO || cause == ENODEV;
}

static bool open_file(const struct i4q_external *external, const char *location,
                      struct i4q_external_file *file, struct i4q_error *error)
{
    struct stat status;
    if (!check_location(external, location, error))
        return false;
    int fd = external->follow_symlinks ? openat(external->directory, location, OPEN_FLAGS)
                                       : open_beneath(external->directory, location);
    if (fd < 0 && (errno == ELOOP || errno == EXDEV))
        return i4q_fail(error, I4Q_MODEL,
                        "'%s' is or goes through a symbolic link; --follow-symlinks allows it", location);
    if (fd < 0)
        return i4q_fail(error, is_fault_of_model(errno) ? I4Q_MODEL : I4Q_FAILED, "cannot open '%s': %s",
                        location, strerror(errno));
    bool ok =
        check_file(external, location, fd, &status, error) && map(fd, location, &status, &file->bytes, error);
    close(fd);
    if (ok)
        *file = (struct i4q_external_file){location, file->bytes, i4q_inode_of(&status)};
    return ok;
}

/* ---- the files that are open */

static bool make_room(struct i4q_external *external)
{
    if (external->n_files < external->capacity)
        return true;
    size_t capacity = external->capacity ? external->capacity * 2 : 4;
    struct i4q_external_file *files = realloc(external->files, capacity * sizeof *files);
    if (!files)
        return false;
    external->files = files;
    external->capacity = capacity;
    return true;
}

/* The file at `location`, opened at its first use; NULL with an error. */
static const struct i4q_external_file *find_file(struct i4q_external *external, const char *location,
                                                 struct i4q_error *error)
{
    void **number = make_room(external) ? i4q_table_at(&external->numbers, location) : NULL;
    if (!number) {
        i4q_fail_memory(error);
        return NULL;
    }
    if (!*number) {
        if (!open_file(external, location, &external->files[external->n_files], error))
            return NULL;
        *number = (void *)(uintptr_t)++external->n_files;
    }
    return &external->files[(uintptr_t)*number - 1];
}

bool i4q_external_read(struct i4q_external *external, const char *location, uint64_t offset, uint64_t length,
                       struct i4q_view *bytes, struct i4q_error *error)
{
    const struct i4q_external_file *found = find_file(external, location, error);
    if (!found)
        return false;
    struct i4q_view file = found->bytes;
    uint64_t rest = offset <= file.size ? file.size - offset : 0;
    length = length == SIZE_MAX ? rest : length;
    if (offset > file.size || length > rest)
        return i4q_fail(error, I4Q_MODEL,
                        "offset %" PRIu64 " and length %" PRIu64 " pass the end of '%s', which has %zu bytes",
                        offset, length, location, file.size);
    *bytes = (struct i4q_view){file.data ? file.data + offset : NULL, (size_t)length};
    return true;
}

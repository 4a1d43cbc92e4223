// SPDX-License-Identifier: Apache-2.0
#include "platform/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_READ = 1 << 16 };

static bool too_large(size_t limit, struct i4q_error *error)
{
    return i4q_fail(error, I4Q_MODEL, "larger than the limit of %zu bytes", limit);
}

static bool map(struct i4q_input *input, int fd, size_t size, struct i4q_error *error)
{
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return i4q_fail_errno(error, "cannot map %zu bytes", size);
    *input = (struct i4q_input){.bytes = {data, size}, .mapped = true};
    return true;
}

/* Makes room for at least one more byte, never for more than limit + 1: that one more tells that it is too
 * large. */
static bool make_room(uint8_t **data, size_t used, size_t *capacity, size_t limit, struct i4q_error *error)
{
    if (used < *capacity)
        return true;
    if (used > limit)
        return too_large(limit, error);
    size_t bigger = *capacity ? *capacity * 2 : FIRST_READ;
    if (bigger > limit)
        bigger = limit + 1;
    uint8_t *moved = realloc(*data, bigger);
    if (!moved)
        return i4q_fail_memory(error);
    *data = moved;
    *capacity = bigger;
    return true;
}

static bool read_all(struct i4q_input *input, int fd, size_t limit, struct i4q_error *error)
{
    uint8_t *data = NULL;
    size_t used = 0, capacity = 0;
    for (;;) {
        if (!make_room(&data, used, &capacity, limit, error))
            break;
        ssize_t n = read(fd, data + used, capacity - used);
        if (n == 0) {
            *input = (struct i4q_input){.bytes = {data, used}};
            return true;
        }
        if (n > 0)
            used += (size_t)n;
        else if (errno != EINTR) {
            i4q_fail_errno(error, "cannot read");
            break;
        }
    }
    free(data);
    return false;
}

static bool from_descriptor(struct i4q_input *input, int fd, size_t limit, struct i4q_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return i4q_fail_errno(error, "cannot read");
    /* An empty file cannot be mapped; one that was partly read already (standard input) is read from there
     * on. */
    bool whole = S_ISREG(status.st_mode) && status.st_size > 0 && lseek(fd, 0, SEEK_CUR) == 0;
    if (!whole)
        return read_all(input, fd, limit, error);
    if ((uintmax_t)status.st_size > limit)
        return too_large(limit, error);
    return map(input, fd, (size_t)status.st_size, error);
}

/* Asked beforehand, since a sandbox that gives files only refuses to open directories at all. */
static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool i4q_input_open(struct i4q_input *input, const char *path, size_t limit, struct i4q_error *error)
{
    *input = (struct i4q_input){0};
    if (strcmp(path, "-") == 0)
        return from_descriptor(input, STDIN_FILENO, limit, error);
    if (is_directory(path))
        return i4q_fail(error, I4Q_FAILED, "is a directory");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return i4q_fail_errno(error, "cannot open");
    bool ok = from_descriptor(input, fd, limit, error);
    close(fd); /* a mapping stays without it; closing what was only read cannot lose anything */
    return ok;
}

void i4q_input_release(struct i4q_view mapped)
{
    if (mapped.size)
        madvise((void *)mapped.data, mapped.size, MADV_DONTNEED); /* of a file: never lost */
}

void i4q_input_close(struct i4q_input *input)
{
    if (input->mapped)
        munmap((void *)input->bytes.data, input->bytes.size);
    else
        free((void *)input->bytes.data);
    *input = (struct i4q_input){0};
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Makes one call fail: a library for LD_PRELOAD.
 *
 *     INT4Q_FAULT=FUNCTION:N:HOW    the Nth call of FUNCTION fails with errno HOW (a number), or
 *         short       write and read transfer at most one byte
 *         truncate    mmap succeeds, and then the file loses its contents
 *     INT4Q_FAULT_LOG=FILE          gets "fired", if it came to that, and how many blocks were never freed
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum how { FAIL, SHORT, TRUNCATE };

static char function[32];
static long wanted;
static enum how how;
static int fault_errno;
static atomic_long calls, blocks;
static atomic_bool fired;

/* Not by allocated memory: this runs before anything else, and whenever malloc is to fail. */
__attribute__((constructor)) static void parse(void)
{
    const char *fault = getenv("INT4Q_FAULT");
    char word[32] = "";
    if (!fault || sscanf(fault, "%31[^:]:%ld:%31s", function, &wanted, word) != 3)
        return;
    how = strcmp(word, "short") == 0 ? SHORT : strcmp(word, "truncate") == 0 ? TRUNCATE : FAIL;
    fault_errno = atoi(word);
    atomic_store(&calls, 0); /* those of the loader do not count */
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("INT4Q_FAULT_LOG");
    char text[64];
    int length = snprintf(text, sizeof text, "%s %ld\n", atomic_load(&fired) ? "fired" : "quiet",
                          atomic_load(&blocks));
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (fd >= 0) {
        syscall(SYS_write, fd, text, length);
        syscall(SYS_close, fd);
    }
}

/* Whether this call is the one; then errno is set. */
static bool fails(const char *name)
{
    if (!wanted || strcmp(name, function) != 0 || atomic_fetch_add(&calls, 1) + 1 != wanted)
        return false;
    atomic_store(&fired, true);
    errno = fault_errno;
    return true;
}

/* The function that stands behind ours. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ---- memory; glibc's own names, since dlsym allocates */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

void *malloc(size_t size)
{
    void *block = fails("malloc") ? NULL : __libc_malloc(size);
    atomic_fetch_add(&blocks, block != NULL);
    return block;
}

void *calloc(size_t count, size_t size)
{
    void *block = fails("malloc") ? NULL : __libc_calloc(count, size);
    atomic_fetch_add(&blocks, block != NULL);
    return block;
}

void *realloc(void *old, size_t size)
{
    void *block = fails("malloc") ? NULL : __libc_realloc(old, size);
    atomic_fetch_add(&blocks, !old && block);
    return block;
}

void free(void *block)
{
    atomic_fetch_sub(&blocks, block != NULL);
    __libc_free(block);
}

/* ---- files */

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return fails("open") ? -1 : REAL(open)(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
    return fails("openat") ? -1 : REAL(openat)(directory, path, flags);
}

/* int4q calls what glibc does not know this way. */
long syscall(long number, ...)
{
    va_list rest;
    long a[6];
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if ((number == SYS_openat2 && fails("openat2")) || (number == SYS_renameat2 && fails("renameat2")))
        return -1;
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int fstat(int fd, struct stat *status)
{
    return fails("fstat") ? -1 : REAL(fstat)(fd, status);
}

int stat(const char *path, struct stat *status)
{
    return fails("stat") ? -1 : REAL(stat)(path, status);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    bool fault = fails(fd >= 0 ? "mmap" : "malloc"); /* memory, where it belongs to no file */
    if (fault && how == FAIL)
        return MAP_FAILED;
    void *mapped = REAL(mmap)(address, size, protection, flags, fd, offset);
    if (fault && how == TRUNCATE) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (truncate(path, 0) != 0)
            abort();
    }
    return mapped;
}

ssize_t read(int fd, void *data, size_t size)
{
    bool fault = fails("read");
    if (fault && how == FAIL)
        return -1;
    return REAL(read)(fd, data, fault && size ? 1 : size);
}

ssize_t write(int fd, const void *data, size_t size)
{
    bool fault = fd != STDERR_FILENO && fails("write");
    if (fault && how == FAIL)
        return -1;
    return REAL(write)(fd, data, fault && size ? 1 : size);
}

int fsync(int fd)
{
    return fails("fsync") ? -1 : REAL(fsync)(fd);
}

int close(int fd)
{
    int result = REAL(close)(fd); /* closed all the same, as Linux does */
    return fails("close") ? -1 : result;
}

int fchmod(int fd, mode_t mode)
{
    return fails("fchmod") ? -1 : REAL(fchmod)(fd, mode);
}

int rename(const char *from, const char *to)
{
    return fails("rename") ? -1 : REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    return fails("link") ? -1 : REAL(link)(from, to);
}

/* ---- the rest */

int madvise(void *address, size_t size, int advice)
{
    return fails("madvise") ? -1 : REAL(madvise)(address, size, advice);
}

ssize_t getrandom(void *data, size_t size, unsigned flags)
{
    return fails("getrandom") ? -1 : REAL(getrandom)(data, size, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *context)
{
    return fails("pthread_create") ? EAGAIN : REAL(pthread_create)(thread, attributes, start, context);
}

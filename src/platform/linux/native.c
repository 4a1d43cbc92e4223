// SPDX-License-Identifier: Apache-2.0
#include "platform/native.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/fs.h, which does not go with every stdio.h. */
#define NO_REPLACE 1u

/* Containers may forbid what they do not know (EPERM). */
static bool is_missing(int cause)
{
    return cause == ENOSYS || cause == EPERM;
}

bool i4q_native_rename_new(const char *from, const char *to)
{
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, NO_REPLACE) == 0)
        return true;
    errno = is_missing(errno) ? ENOSYS : errno;
    return false;
}

int i4q_native_open_beneath(int directory, const char *location, int flags)
{
    struct open_how how = {.flags = (unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    long fd = syscall(SYS_openat2, directory, location, &how, sizeof how);
    if (fd < 0 && is_missing(errno))
        errno = ENOSYS;
    return (int)fd;
}

void i4q_native_raise(int signal_number)
{
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal_number);
}

bool i4q_native_has_dot_product(void)
{
    enum { AARCH64_DOT_PRODUCT = 1 << 20 }; /* of asm/hwcap.h there */
    return getauxval(AT_HWCAP) & AARCH64_DOT_PRODUCT;
}

int i4q_native_processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

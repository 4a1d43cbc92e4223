// SPDX-License-Identifier: Apache-2.0
#include "platform/native.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

bool i4q_native_rename_new(const char *from, const char *to)
{
#ifdef RENAME_EXCL /* macOS */
    if (renamex_np(from, to, RENAME_EXCL) == 0)
        return true;
    errno = errno == ENOTSUP ? EINVAL : errno;
#else
    (void)from;
    (void)to;
    errno = ENOSYS;
#endif
    return false;
}

int i4q_native_open_beneath(int directory, const char *location, int flags)
{
    (void)directory;
    (void)location;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

void i4q_native_raise(int signal_number)
{
    raise(signal_number);
}

bool i4q_native_has_dot_product(void)
{
#ifdef __APPLE__
    return true; /* all of its processors with 64 bits that run macOS */
#else
    return false;
#endif
}

int i4q_native_processors(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

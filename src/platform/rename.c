// SPDX-License-Identifier: Apache-2.0
#include "platform/rename.h"

#include "platform/native.h"

#include <errno.h>
#include <unistd.h>

/* Without help of the system link(2) does it in two steps: it never replaces anything either. */
bool i4q_rename_new(const char *from, const char *to)
{
    if (i4q_native_rename_new(from, to))
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    return link(from, to) == 0 && unlink(from) == 0;
}

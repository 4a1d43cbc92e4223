// SPDX-License-Identifier: Apache-2.0
#include "folder.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

int folder_enter(void **state)
{
    char name[] = "/tmp/int4q-test-XXXXXX";
    return mkdtemp(name) && chdir(name) == 0 ? 0 : -1;
}

int folder_leave(void **state)
{
    char path[256];
    DIR *directory = getcwd(path, sizeof path) ? opendir(".") : NULL;
    if (!directory)
        return -1;
    for (struct dirent *entry; (entry = readdir(directory));)
        unlink(entry->d_name);
    closedir(directory);
    return chdir("/") == 0 ? rmdir(path) : -1;
}

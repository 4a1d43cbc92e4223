// SPDX-License-Identifier: Apache-2.0
#include "platform/identity.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct i4q_inode inode_of(const struct stat *status)
{
    return (struct i4q_inode){true, status->st_dev, status->st_ino};
}

static bool is_special(const struct stat *status)
{
    return !S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode);
}

static struct i4q_inode folder_of(const char *path)
{
    struct stat status;
    char *copy = strdup(path);
    bool known = copy && stat(dirname(copy), &status) == 0;
    free(copy);
    return known ? inode_of(&status) : (struct i4q_inode){0};
}

struct i4q_identity i4q_identify(const char *path)
{
    struct stat status, link;
    size_t end = strlen(path);
    while (end && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start && path[start - 1] != '/')
        start--;
    struct i4q_identity identity = {
        .folder = folder_of(path), .name = path + start, .name_length = end - start};
    identity.is_link = lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
    if (stat(path, &status) == 0) {
        identity.file = inode_of(&status);
        identity.is_special = is_special(&status);
    }
    return identity;
}

struct i4q_identity i4q_identify_descriptor(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return (struct i4q_identity){0};
    return (struct i4q_identity){.file = inode_of(&status), .is_special = is_special(&status)};
}

bool i4q_same_inode(const struct i4q_inode *a, const struct i4q_inode *b)
{
    return a->known && b->known && a->device == b->device && a->number == b->number;
}

bool i4q_same_place(const struct i4q_identity *a, const struct i4q_identity *b)
{
    return i4q_same_inode(&a->folder, &b->folder) && a->name_length == b->name_length &&
           memcmp(a->name, b->name, a->name_length) == 0;
}

bool i4q_same_file(const struct i4q_identity *a, const struct i4q_identity *b)
{
    return i4q_same_place(a, b) || i4q_same_inode(&a->file, &b->file);
}

bool i4q_is_descriptor(const char *path)
{
    struct stat status;
    char *copy = strdup(path), *folder = copy ? realpath(dirname(copy), NULL) : NULL;
    bool is = folder && (strcmp(folder, "/dev") == 0 || strncmp(folder, "/proc/", 6) == 0) &&
              i4q_identify(path).is_link && stat(path, &status) == 0 && S_ISREG(status.st_mode);
    free(folder);
    free(copy);
    return is;
}

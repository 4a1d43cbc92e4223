// SPDX-License-Identifier: Apache-2.0
#include "platform/identity.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct i4q_inode i4q_inode_of(const struct stat *status)
{
    return (struct i4q_inode){true, (uint64_t)status->st_dev, (uint64_t)status->st_ino};
}

static bool is_special(const struct stat *status)
{
    return !S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode);
}

/* stat(2); that there is nothing is no failure. */
static bool look(const char *path, struct stat *status, bool *exists)
{
    *exists = stat(path, status) == 0;
    return *exists || errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ||
           errno == ENAMETOOLONG;
}

static bool find_folder(const char *path, struct i4q_inode *folder)
{
    struct stat status;
    bool exists;
    char *copy = strdup(path);
    bool ok = copy && look(dirname(copy), &status, &exists);
    free(copy);
    if (ok && exists)
        *folder = i4q_inode_of(&status);
    return ok;
}

bool i4q_identify(struct i4q_identity *identity, const char *path)
{
    struct stat status, link;
    bool exists;
    size_t end = strlen(path);
    while (end && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start && path[start - 1] != '/')
        start--;
    *identity = (struct i4q_identity){.name = path + start, .name_length = end - start};
    if (!find_folder(path, &identity->folder) || !look(path, &status, &exists))
        return false;
    identity->is_link = lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
    if (exists) {
        identity->file = i4q_inode_of(&status);
        identity->is_special = is_special(&status);
    }
    return true;
}

static bool identify_descriptor(struct i4q_identity *identity, int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    *identity = (struct i4q_identity){.file = i4q_inode_of(&status), .is_special = is_special(&status)};
    return true;
}

bool i4q_identify_stdin(struct i4q_identity *identity)
{
    return identify_descriptor(identity, STDIN_FILENO);
}

bool i4q_identify_stdout(struct i4q_identity *identity)
{
    return identify_descriptor(identity, STDOUT_FILENO);
}

bool i4q_is_special(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && is_special(&status);
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
    struct stat link, status;
    char *copy = strdup(path), *folder = copy ? realpath(dirname(copy), NULL) : NULL;
    bool is = folder && (strcmp(folder, "/dev") == 0 || strncmp(folder, "/proc/", 6) == 0) &&
              lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && stat(path, &status) == 0 &&
              S_ISREG(status.st_mode);
    free(folder);
    free(copy);
    return is;
}

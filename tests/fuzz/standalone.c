// SPDX-License-Identifier: Apache-2.0
/* Runs a target over the files, and over the files of the directories, that are its arguments: so the stored
 * corpus is a test like others, with any compiler. */
#include "fuzz.h"

#include "platform/file.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

/* The bytes in memory of exactly their size, so that a sanitizer sees what is read behind them. */
static void run_file(const char *path)
{
    struct i4q_input input;
    struct i4q_error error = {0};
    REQUIRE_OK(i4q_input_open(&input, path, SIZE_MAX / 2, &error), error);
    uint8_t *copy = malloc(input.bytes.size + !input.bytes.size);
    REQUIRE(copy);
    if (input.bytes.size)
        memcpy(copy, input.bytes.data, input.bytes.size);
    printf("%s\n", path);
    fflush(stdout); /* the last line tells which file it was */
    LLVMFuzzerTestOneInput(copy, input.bytes.size);
    free(copy);
    i4q_input_close(&input);
}

static size_t run(const char *path);

static size_t run_directory(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    size_t files = 0;
    REQUIRE(n >= 0);
    for (int i = 0; i < n; i++) {
        char file[PATH_SIZE];
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (*entries[i]->d_name != '.')
            files += run(file);
        free(entries[i]);
    }
    free(entries);
    return files;
}

static size_t run(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return run_directory(path);
    run_file(path);
    return 1;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += run(argv[i]);
    printf("%zu files\n", files);
    return files == 0; /* a corpus that is not found is no success */
}

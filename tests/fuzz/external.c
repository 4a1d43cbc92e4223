// SPDX-License-Identifier: Apache-2.0
/* Locations of external data: what can be read is a file of the model's directory, and it is the same with
 * openat2 and, as on kernels before 5.6, without. */
#include "fuzz.h"

#include "../forget.h"
#include "platform/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char CONTENTS[] = "0123456789";

/* ---- the directory */

static char directory[] = "/tmp/int4q-fuzz-XXXXXX", model[sizeof directory + 16];
static const char *const files[] = {"data", "sub/data", "hard"};
static const char *const links[][2] = {
    {"data", "link"}, {"/", "away"}, {"sub", "loop"}, {"../data", "sub/link"}};

static int folder; /* the directory, open */

static void remove_directory(void)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(folder, files[i], 0);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        unlinkat(folder, links[i][1], 0);
    unlinkat(folder, "second", 0);
    unlinkat(folder, "fifo", 0);
    unlinkat(folder, "sub", AT_REMOVEDIR);
    rmdir(directory);
    close(folder);
}

static void make_directory(void)
{
    REQUIRE(mkdtemp(directory));
    snprintf(model, sizeof model, "%s/model.onnx", directory);
    folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(mkdirat(folder, "sub", 0700) == 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int fd = openat(folder, files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        REQUIRE(write(fd, CONTENTS, strlen(CONTENTS)) > 0 && close(fd) == 0);
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        REQUIRE(symlinkat(links[i][0], folder, links[i][1]) == 0);
    REQUIRE(linkat(folder, "hard", folder, "second", 0) == 0 && mkfifoat(folder, "fifo", 0600) == 0);
    atexit(remove_directory);
}

/* ---- one location */

struct attempt {
    const char *location;
    bool read;
};

static void *try_it(void *context)
{
    struct attempt *attempt = context;
    struct i4q_arena arena;
    struct i4q_external external;
    struct i4q_view bytes;
    struct i4q_error error = {0};
    i4q_arena_init(&arena, SIZE_MAX / 2);
    REQUIRE_OK(i4q_external_init(&external, &arena, model, false, &error), error);
    attempt->read = i4q_external_read(&external, attempt->location, 0, SIZE_MAX, &bytes, &error);
    REQUIRE_OK(attempt->read || error.code == I4Q_MODEL, error);
    REQUIRE(!attempt->read ||
            (bytes.size == strlen(CONTENTS) && memcmp(bytes.data, CONTENTS, bytes.size) == 0));
    i4q_external_close(&external);
    i4q_arena_free(&arena);
    return NULL;
}

/* In a thread of which the kernel has no openat2. */
static void *try_without(void *context)
{
    REQUIRE(forget_openat2(ENOSYS));
    return try_it(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pthread_t thread;
    char *location = strndup((const char *)data, size);
    REQUIRE(location);
    struct attempt with = {location, false}, without = with;
    if (!*model)
        make_directory();
    try_it(&with);
    REQUIRE(pthread_create(&thread, NULL, try_without, &without) == 0 && pthread_join(thread, NULL) == 0);
    REQUIRE(with.read == without.read);
    free(location);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* The rules of external data, with openat2 and, as on kernels before 5.6, without. */
#include "testing.h"

#include "forget.h"

#include "platform/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/int4q-external-XXXXXX";
static char model[sizeof directory + 32];

/* data, sub/data, link → data, away → /, hard (a second name of hard2), fifo */
static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(directory) || chdir(directory) != 0 || mkdir("sub", 0700) != 0)
        return -1;
    snprintf(model, sizeof model, "%s/model.onnx", directory);
    static const char *const files[] = {"data", "sub/data", "hard"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int fd = open(files[i], O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || write(fd, "0123456789", 10) != 10 || close(fd) != 0)
            return -1;
    }
    return symlink("data", "link") || symlink("/", "away") || link("hard", "hard2") || mkfifo("fifo", 0600);
}

static int teardown(void **state)
{
    (void)state;
    static const char *const files[] = {"data", "sub/data", "hard", "hard2", "link", "away", "fifo"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    return rmdir("sub") || chdir("/") || rmdir(directory);
}

static void assert_reads(const char *location, uint64_t offset, uint64_t length, bool follow,
                         const char *expected)
{
    struct i4q_external external;
    struct i4q_error error = {0};
    struct i4q_view bytes;
    struct i4q_arena arena;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    assert_true(i4q_external_init(&external, &arena, model, follow, &error));
    if (!i4q_external_read(&external, location, offset, length, &bytes, &error))
        fail_msg("'%s': %s", location, error.message);
    assert_int_equal(bytes.size, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.size);
    i4q_external_close(&external);
    i4q_arena_free(&arena);
}

static void assert_refuses(const char *location, uint64_t offset, uint64_t length, bool follow,
                           const char *part)
{
    struct i4q_external external;
    struct i4q_error error = {0};
    struct i4q_view bytes;
    struct i4q_arena arena;
    i4q_arena_init(&arena, SIZE_MAX / 2);
    assert_true(i4q_external_init(&external, &arena, model, follow, &error));
    if (i4q_external_read(&external, location, offset, length, &bytes, &error))
        fail_msg("'%s' was read, though: %s", location, part);
    assert_failed(error, I4Q_MODEL, part);
    i4q_external_close(&external);
    i4q_arena_free(&arena);
}

static void rules(void **state)
{
    (void)state;
    assert_reads("data", 2, 3, false, "234");
    assert_reads("data", 10, 0, false, "");
    assert_reads("sub//data", 7, SIZE_MAX, false, "789");
    assert_reads("./data", 0, 1, false, "0");
    assert_refuses("data/", 0, 1, false, "Not a directory");
    assert_refuses("data", 11, SIZE_MAX, false, "pass the end");
    assert_refuses("data", 5, 6, false, "pass the end");
    assert_refuses("data", UINT64_MAX, 2, false, "pass the end");
    assert_refuses("", 0, 1, false, "without a location");
    assert_refuses("/etc/passwd", 0, 1, false, "not beneath");
    assert_refuses("sub/../data", 0, 1, false, "not beneath");
    assert_refuses("..", 0, 1, true, "not beneath");
    assert_refuses("nothing", 0, 1, false, "cannot open 'nothing'");
    assert_refuses("sub", 0, 1, false, "not a regular file");
    assert_refuses("fifo", 0, 1, false, "not a regular file");
    assert_refuses("hard", 0, 1, false, "hard link");
    assert_reads("hard", 0, 1, true, "0");
    assert_reads("link", 0, 1, true, "0");
}

static void links_are_refused(void **state)
{
    (void)state;
    assert_refuses("link", 0, 1, false, "--follow-symlinks");
    assert_refuses("away/etc/passwd", 0, 1, false, "");
}

static void names_that_only_look_like_parents(void **state)
{
    (void)state;
    assert_refuses("..data", 0, 1, false, "cannot open '..data'");
    assert_refuses("a..", 0, 1, false, "cannot open 'a..'");
}

/* From here on the kernel has no openat2, then one that may not be called. */
static int without_openat2(void **state)
{
    (void)state;
    return !forget_openat2(ENOSYS);
}

static int openat2_forbidden(void **state)
{
    (void)state;
    return !forget_openat2(EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(links_are_refused),
        cmocka_unit_test(names_that_only_look_like_parents),
        cmocka_unit_test_setup(rules, without_openat2),
        cmocka_unit_test(links_are_refused),
        cmocka_unit_test(names_that_only_look_like_parents),
        cmocka_unit_test_setup(rules, openat2_forbidden),
        cmocka_unit_test(links_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

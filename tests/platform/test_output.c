// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/utf8.h"
#include "folder.h"
#include "platform/file.h"
#include "platform/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count_files(void)
{
    size_t count = 0;
    DIR *directory = opendir(".");
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_content(const char *path, const char *text)
{
    struct i4q_input input;
    struct i4q_error error = {0};
    assert_true(i4q_input_open(&input, path, 1 << 20, &error));
    assert_int_equal(input.bytes.size, strlen(text));
    assert_memory_equal(input.bytes.data, text, strlen(text));
    i4q_input_close(&input);
}

static void appears_at_commit(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_NEW, &error));
    i4q_output_append(&output, "whole", 5);
    assert_int_equal(access("out", F_OK), -1);
    assert_true(i4q_output_commit(&output, &error));
    assert_content("out", "whole");
    assert_int_equal(count_files(), 1);
    i4q_output_abort(&output); /* harmless */
    assert_content("out", "whole");
}

static void abort_leaves_nothing(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    put("out", "old");
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_REPLACE, &error));
    i4q_output_append(&output, "new", 3);
    i4q_output_abort(&output);
    assert_content("out", "old");
    assert_int_equal(count_files(), 1);
}

static void an_existing_file_is_kept(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    put("out", "old");
    assert_false(i4q_output_open(&output, "out", I4Q_OUTPUT_NEW, &error));
    assert_failed(error, I4Q_FAILED, "already exists");
    i4q_output_abort(&output);
    assert_content("out", "old");
}

static void a_file_that_appears_meanwhile_is_kept(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_NEW, &error));
    i4q_output_append(&output, "mine", 4);
    put("out", "theirs");
    assert_false(i4q_output_commit(&output, &error));
    assert_failed(error, I4Q_FAILED, "File exists");
    assert_content("out", "theirs");
    assert_int_equal(count_files(), 1);
}

static void a_replaced_file_keeps_its_permissions(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    struct stat status;
    put("out", "old");
    assert_int_equal(chmod("out", 0640), 0);
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_REPLACE, &error));
    i4q_output_append(&output, "new", 3);
    assert_true(i4q_output_commit(&output, &error));
    assert_int_equal(stat("out", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_content("out", "new");
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

/* While it is written, too. */
static void a_private_file_stays_private(void **state)
{
    (void)state;
    struct i4q_output output, data;
    struct i4q_error error = {0};
    put("out", "old");
    assert_int_equal(chmod("out", 0600), 0);
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_REPLACE, &error));
    assert_int_equal(mode_of(output.temporary.path), 0600);
    assert_true(i4q_output_open_beside(&data, "out.data", &output, &error));
    assert_int_equal(mode_of(data.temporary.path), 0600);
    assert_true(i4q_output_commit_both(&data, &output, &error));
    assert_int_equal(mode_of("out"), 0600);
    assert_int_equal(mode_of("out.data"), 0600);
}

static void a_new_file_is_as_the_umask_has_it(void **state)
{
    (void)state;
    struct i4q_output output, data;
    struct i4q_error error = {0};
    mode_t before = umask(026);
    put("out.data", "old");
    assert_int_equal(chmod("out.data", 0604), 0);
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_REPLACE, &error));
    assert_true(i4q_output_open_beside(&data, "out.data", &output, &error));
    assert_true(i4q_output_commit_both(&data, &output, &error));
    assert_int_equal(mode_of("out"), 0640);
    assert_int_equal(mode_of("out.data"), 0604); /* replaced: as it was */
    umask(before);
}

/* Only root may give files away. */
static void a_replaced_file_keeps_its_owner(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    struct stat status;
    put("out", "old");
    if (chown("out", 65534, 65533) != 0)
        skip();
    assert_int_equal(chmod("out", 0640), 0);
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_REPLACE, &error));
    assert_true(i4q_output_commit(&output, &error));
    assert_int_equal(stat("out", &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(status.st_gid, 65533);
    assert_int_equal(status.st_mode & 07777, 0640);
}

/* In a child that is nobody: replaces a file of root's with group 65533. */
static int replace_as_nobody(void)
{
    struct i4q_output output;
    struct i4q_error error = {0};
    return setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0 ||
           !i4q_output_open(&output, "out", I4Q_OUTPUT_REPLACE, &error) ||
           !i4q_output_commit(&output, &error);
}

static void a_group_that_cannot_be_kept_gives_no_rights(void **state)
{
    (void)state;
    static const mode_t modes[][2] = {{0640, 0600}, {0664, 0644}, {0646, 0644}, {0600, 0600}};
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(".", 0777), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        int status;
        put("out", "old");
        assert_int_equal(chown("out", 0, 65533), 0);
        assert_int_equal(chmod("out", modes[i][0]), 0);
        pid_t child = fork();
        if (!child)
            _exit(replace_as_nobody());
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(mode_of("out"), modes[i][1]);
    }
}

/* The second name is taken by a directory, or may not be replaced: nothing stays of the first. */
static void two_files_appear_or_none(void **state)
{
    (void)state;
    static const char *const before[] = {NULL, "old"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        struct i4q_output model, data;
        struct i4q_error error = {0};
        if (before[i])
            put("out.data", before[i]);
        assert_true(i4q_output_open(&model, "out", I4Q_OUTPUT_REPLACE, &error));
        assert_true(i4q_output_open_beside(&data, "out.data", &model, &error));
        i4q_output_append(&data, "new", 3);
        assert_int_equal(mkdir("out", 0700), 0);
        assert_false(i4q_output_commit_both(&data, &model, &error));
        assert_failed(error, I4Q_FAILED, "cannot rename the finished file: Is a directory");
        assert_int_equal(rmdir("out"), 0);
        assert_int_equal(count_files(), before[i] ? 1 : 0);
        if (before[i])
            assert_content("out.data", before[i]);
    }
}

static void links_are_replaced_themselves(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    static const char *const targets[] = {"file", "nothing"};
    put("file", "old");
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        assert_int_equal(symlink(targets[i], "out"), 0);
        assert_false(i4q_output_check("out", I4Q_OUTPUT_NEW, &error));
        assert_failed(error, I4Q_FAILED, "already exists");
        error = (struct i4q_error){0};
        assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_REPLACE, &error));
        i4q_output_append(&output, "new", 3);
        assert_true(i4q_output_commit(&output, &error));
        assert_content("out", "new");
        assert_content("file", "old");
        assert_int_equal(unlink("out"), 0);
    }
    assert_int_equal(count_files(), 1);
}

static void names_may_be_as_long_as_any(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    char name[NAME_MAX + 2] = "";
    for (size_t i = 0; i < NAME_MAX; i++)
        strcat(name, i < 231 ? "n" : (i - 231) % 2 ? "\xa4" : "\xc3");
    for (size_t length = 240; length <= NAME_MAX; length++) {
        const char *path = name + NAME_MAX - length;
        assert_true(i4q_output_open(&output, path, I4Q_OUTPUT_NEW, &error));
        assert_true(i4q_utf8_is_valid(output.temporary.path));
        i4q_output_append(&output, "new", 3);
        assert_true(i4q_output_commit(&output, &error));
        assert_content(path, "new");
        assert_int_equal(unlink(path), 0);
    }
    strcat(name, "n");
    assert_false(i4q_output_open(&output, name, I4Q_OUTPUT_NEW, &error));
    assert_failed(error, I4Q_FAILED, strerror(ENAMETOOLONG));
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    static char big[1 << 20];
    assert_true(i4q_output_open(&output, "/dev/full", I4Q_OUTPUT_REPLACE, &error));
    for (int i = 0; i < 10; i++)
        i4q_output_append(&output, big, i % 2 ? sizeof big : 100);
    assert_false(i4q_output_commit(&output, &error));
    assert_failed(error, I4Q_FAILED, "cannot write: No space left on device");
}

static void a_missing_directory_is_an_error(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    assert_false(i4q_output_open(&output, "no/such/out", I4Q_OUTPUT_NEW, &error));
    assert_failed(error, I4Q_FAILED, "cannot create: No such file or directory");
    error = (struct i4q_error){0};
    assert_false(i4q_output_open(&output, ".", I4Q_OUTPUT_REPLACE, &error));
    assert_failed(error, I4Q_FAILED, "is a directory");
}

static void large_and_small_pieces_keep_their_order(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    static uint8_t expected[3 << 20], *at = expected;
    uint32_t seed = 5;
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_NEW, &error));
    while (at < expected + sizeof expected - (1 << 19)) {
        seed = seed * 1664525 + 1013904223;
        size_t size = seed % 3 ? seed >> 24 : seed >> 13;
        memset(at, (int)(seed >> 16), size);
        i4q_output_append(&output, at, size);
        at += size;
    }
    assert_int_equal(output.total, at - expected);
    assert_true(i4q_output_commit(&output, &error));
    struct i4q_input input;
    assert_true(i4q_input_open(&input, "out", SIZE_MAX / 2, &error));
    assert_int_equal(input.bytes.size, at - expected);
    assert_memory_equal(input.bytes.data, expected, input.bytes.size);
    i4q_input_close(&input);
}

static void temporaries_are_removed_by_signals(void **state)
{
    (void)state;
    struct i4q_output output;
    struct i4q_error error = {0};
    assert_true(i4q_output_open(&output, "out", I4Q_OUTPUT_NEW, &error));
    assert_int_equal(count_files(), 1);
    i4q_temporaries_remove();
    assert_int_equal(count_files(), 0);
    char *taken = output.temporary.path; /* the handler owns it now, and its process dies */
    i4q_output_abort(&output);
    free(taken);
}

static void inputs_have_limits(void **state)
{
    (void)state;
    struct i4q_input input;
    struct i4q_error error = {0};
    put("in", "12345");
    assert_false(i4q_input_open(&input, "in", 4, &error));
    assert_failed(error, I4Q_MODEL, "larger than the limit of 4 bytes");
    error = (struct i4q_error){0};
    assert_false(i4q_input_open(&input, "/dev/zero", 100000, &error));
    assert_failed(error, I4Q_MODEL, "larger than the limit");
    error = (struct i4q_error){0};
    assert_false(i4q_input_open(&input, "missing", 4, &error));
    assert_failed(error, I4Q_FAILED, "cannot open: No such file");
    error = (struct i4q_error){0};
    assert_false(i4q_input_open(&input, ".", 4, &error));
    assert_failed(error, I4Q_FAILED, "is a directory");
    put("in", "");
    error = (struct i4q_error){0};
    assert_true(i4q_input_open(&input, "in", 4, &error));
    assert_int_equal(input.bytes.size, 0);
    i4q_input_close(&input);
}

/* Every test runs in an empty directory of its own. */
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(appears_at_commit),
        IN_DIRECTORY(abort_leaves_nothing),
        IN_DIRECTORY(an_existing_file_is_kept),
        IN_DIRECTORY(a_file_that_appears_meanwhile_is_kept),
        IN_DIRECTORY(a_replaced_file_keeps_its_permissions),
        IN_DIRECTORY(a_private_file_stays_private),
        IN_DIRECTORY(a_new_file_is_as_the_umask_has_it),
        IN_DIRECTORY(a_replaced_file_keeps_its_owner),
        IN_DIRECTORY(a_group_that_cannot_be_kept_gives_no_rights),
        IN_DIRECTORY(two_files_appear_or_none),
        IN_DIRECTORY(links_are_replaced_themselves),
        IN_DIRECTORY(names_may_be_as_long_as_any),
        IN_DIRECTORY(a_full_disk_is_an_error),
        IN_DIRECTORY(a_missing_directory_is_an_error),
        IN_DIRECTORY(large_and_small_pieces_keep_their_order),
        IN_DIRECTORY(temporaries_are_removed_by_signals),
        IN_DIRECTORY(inputs_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The sandbox bites: each case is a child that enters one and then tries. */
#include "testing.h"

#include "int4q/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/int4q-sandbox-XXXXXX";
static bool has_files;

static int touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 || close(fd) != 0;
}

static int setup(void **state)
{
    (void)state;
    struct i4q_sandbox sandbox;
    i4q_sandbox_begin(&sandbox);
    has_files = sandbox.ruleset >= 0;
    if (has_files)
        close(sandbox.ruleset);
    return !mkdtemp(directory) || chdir(directory) != 0 || mkdir("in", 0700) || mkdir("out", 0700) ||
           touch("in/model") || touch("out/old") || touch("secret");
}

static int teardown(void **state)
{
    (void)state;
    static const char *const files[] = {"in/model", "out/old", "out/new", "secret"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    return rmdir("in") || rmdir("out") || chdir("/") || rmdir(directory);
}

/* The errno of `attempt` in a child with in/ to read and out/ to write to; 0: it succeeded. */
static int try_it(int (*attempt)(void))
{
    pid_t child = fork();
    if (!child) {
        struct i4q_sandbox sandbox;
        i4q_sandbox_begin(&sandbox);
        i4q_sandbox_allow(&sandbox, "in", I4Q_ACCESS_READ);
        i4q_sandbox_allow(&sandbox, "out", I4Q_ACCESS_DIRECTORY);
        i4q_sandbox_allow(&sandbox, "nothing", I4Q_ACCESS_READ);
        i4q_sandbox_enter(&sandbox);
        _exit(attempt() < 0 ? errno : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int read_model(void)
{
    return open("in/model", O_RDONLY);
}

static int replace_file(void)
{
    return touch("out/new") ? -1 : rename("out/new", "out/old");
}

static int read_secret(void)
{
    return open("secret", O_RDONLY);
}

static int read_passwords(void)
{
    return open("/etc/passwd", O_RDONLY);
}

static int read_output(void)
{
    return open("out/old", O_RDONLY);
}

static int write_input(void)
{
    return open("in/model", O_WRONLY);
}

static int make_file(void)
{
    return touch("in/new") ? -1 : 0;
}

static int open_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int run_program(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int signal_parent(void)
{
    return kill(getppid(), 0);
}

static void what_is_needed_works(void **state)
{
    (void)state;
    assert_int_equal(try_it(read_model), 0);
    assert_int_equal(try_it(replace_file), 0);
}

static void other_files_are_out_of_reach(void **state)
{
    (void)state;
    static int (*const attempts[])(void) = {read_secret, read_passwords, read_output, write_input, make_file};
    if (!has_files) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        assert_int_equal(try_it(attempts[i]), EACCES);
}

static void other_calls_are_refused(void **state)
{
    (void)state;
    assert_int_equal(try_it(open_socket), EPERM);
    assert_int_equal(try_it(signal_parent), EPERM);
    assert_true(try_it(run_program) == EPERM || try_it(run_program) == EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_works),
        cmocka_unit_test(other_files_are_out_of_reach),
        cmocka_unit_test(other_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

// SPDX-License-Identifier: Apache-2.0
/* The sandbox bites: each case is a child that enters one and then tries. */
#include "testing.h"

#include "platform/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
        syscall(SYS_exit_group,
                attempt() < 0 ? errno : 0); /* before _exit sanitizers make calls of their own */
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

/* tgkill, as raise calls it. */
static int signal_parents_thread(void)
{
    return (int)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static int change_mode(void)
{
    return chmod("secret", 0777);
}

/* As if it had been typed. */
static int type_into_terminal(void)
{
    return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static int load_filter(void)
{
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL);
}

static int start_process(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* A thread in a name space of its own. */
static int start_strange_thread(void)
{
    return (int)syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWNET, NULL, NULL, NULL,
                        NULL);
}

static int start_process_anew(void)
{
    struct clone_args how = {.exit_signal = SIGCHLD};
    return (int)syscall(SYS_clone3, &how, sizeof how);
}

static void *nothing(void *argument)
{
    return argument;
}

static int start_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    return errno || pthread_join(thread, NULL) ? -1 : 0;
}

static int signal_itself(void)
{
    return (int)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0);
}

static void *read_secret_too(void *result)
{
    *(int *)result = read_secret() < 0 ? errno : 0;
    return NULL;
}

static int read_secret_in_thread(void)
{
    pthread_t thread;
    int result = 0;
    if (pthread_create(&thread, NULL, read_secret_too, &result) != 0 || pthread_join(thread, NULL) != 0)
        return 0;
    errno = result;
    return result ? -1 : 0;
}

static void what_is_needed_works(void **state)
{
    (void)state;
    assert_int_equal(try_it(read_model), 0);
    assert_int_equal(try_it(replace_file), 0);
    assert_int_equal(try_it(signal_itself), 0);
    if (I4Q_HAS_SANDBOX) /* threads of sanitizers need more */
        assert_int_equal(try_it(start_thread), 0);
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
    if (I4Q_HAS_SANDBOX) /* threads of sanitizers need more */
        assert_int_equal(try_it(read_secret_in_thread), EACCES);
}

static void other_calls_are_refused(void **state)
{
    (void)state;
    static int (*const attempts[])(void) = {
        open_socket,        run_program, signal_parent, signal_parents_thread, change_mode,
        type_into_terminal, load_filter, start_process, start_strange_thread,  start_process_anew};
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        assert_int_equal(try_it(attempts[i]), ENOSYS);
}

/* No descriptor is left for a rule: then there is none, rather than files that cannot be opened. */
static int read_model_of_poor(void)
{
    struct i4q_sandbox sandbox;
    struct rlimit none = {0, 0}, before;
    i4q_sandbox_begin(&sandbox);
    getrlimit(RLIMIT_NOFILE, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    i4q_sandbox_allow(&sandbox, "in", I4Q_ACCESS_READ);
    setrlimit(RLIMIT_NOFILE, &before);
    return strstr(i4q_sandbox_enter(&sandbox), "files") ? 2 : read_model() < 0;
}

static void without_rules_there_is_no_sandbox(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (!child)
        syscall(SYS_exit_group, read_model_of_poor());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_works),
        cmocka_unit_test(other_files_are_out_of_reach),
        cmocka_unit_test(other_calls_are_refused),
        cmocka_unit_test(without_rules_there_is_no_sandbox),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

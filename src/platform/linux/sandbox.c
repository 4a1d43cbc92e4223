// SPDX-License-Identifier: Apache-2.0
#include "platform/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <asm/termbits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

/* ---- files */

/* Rights of files, by the version of Landlock that brought them; older headers lack the later ones. */
#define RIGHT_TRUNCATE  (1ULL << 14)
#define RIGHT_IOCTL_DEV (1ULL << 15)
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL_DEV = 5 };

static uint64_t known_rights(int abi)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    rights |= abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
    rights |= abi >= ABI_TRUNCATE ? RIGHT_TRUNCATE : 0;
    rights |= abi >= ABI_IOCTL_DEV ? RIGHT_IOCTL_DEV : 0;
    return rights;
}

static uint64_t rights_for(unsigned access, bool directory)
{
    uint64_t rights = 0;
    if (access & I4Q_ACCESS_READ)
        rights |= LANDLOCK_ACCESS_FS_READ_FILE;
    if (access & I4Q_ACCESS_WRITE)
        rights |= LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE;
    if (access & I4Q_ACCESS_DIRECTORY && directory)
        rights |= LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                  LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE;
    return rights;
}

void i4q_sandbox_begin(struct i4q_sandbox *sandbox)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *sandbox = (struct i4q_sandbox){.abi = abi > 0 ? abi : 0, .ruleset = -1};
    if (!sandbox->abi)
        return;
    struct landlock_ruleset_attr attributes = {.handled_access_fs = known_rights(sandbox->abi)};
    sandbox->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
}

static void give_up_files(struct i4q_sandbox *sandbox)
{
    close(sandbox->ruleset);
    sandbox->ruleset = -1;
}

/* Landlock knows only what has a place in a file system: a pipe has none (EBADFD), and needs no rule. */
static bool add_rule(const struct i4q_sandbox *sandbox, int fd, unsigned access)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights_for(access, S_ISDIR(status.st_mode)) & known_rights(sandbox->abi),
        .parent_fd = fd,
    };
    return syscall(SYS_landlock_add_rule, sandbox->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 ||
           errno == EBADFD;
}

/* What cannot be found now cannot be opened later either. */
static bool is_out_of_reach(int cause)
{
    return cause == ENOENT || cause == ENOTDIR || cause == EACCES || cause == ELOOP || cause == ENAMETOOLONG;
}

void i4q_sandbox_allow(struct i4q_sandbox *sandbox, const char *path, unsigned access)
{
    if (sandbox->ruleset < 0)
        return;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 ? !is_out_of_reach(errno) : !add_rule(sandbox, fd, access))
        give_up_files(sandbox);
    if (fd >= 0)
        close(fd);
}

void i4q_sandbox_allow_folder(struct i4q_sandbox *sandbox, const char *path, unsigned access)
{
    char *copy = strdup(path);
    if (copy)
        i4q_sandbox_allow(sandbox, dirname(copy), access);
    free(copy);
}

/* ---- system calls */

#ifdef OUR_ARCH

enum { ANY = -1 };

/* What C libraries start a thread with; musl adds CLONE_DETACHED, which does nothing any more. */
#define THREAD                                                                                               \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |       \
     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

/* What a program needs that reads files, computes in threads, and writes files. All else, above all the
 * network, programs, other processes, and attributes of files, which Landlock does not guard, is as if the
 * kernel did not have it: the C library then does without what it only tries. */
static const struct call {
    int number;
    int argument; /* that must have the value, in its low 32 bits; or ANY */
    unsigned value;
} allowed[] = {
    /* open files */
    {SYS_read, ANY},
    {SYS_write, ANY},
    {SYS_readv, ANY},
    {SYS_writev, ANY},
    {SYS_pread64, ANY},
    {SYS_pwrite64, ANY},
    {SYS_lseek, ANY},
    {SYS_fstat, ANY},
    {SYS_fsync, ANY},
    {SYS_fdatasync, ANY},
    {SYS_ftruncate, ANY},
    {SYS_fallocate, ANY},
    {SYS_fadvise64, ANY},
    {SYS_fchmod, ANY},
    {SYS_fchown, ANY},
    {SYS_close, ANY},
    {SYS_fcntl, 1, F_DUPFD_CLOEXEC},
    {SYS_fcntl, 1, F_GETFD}, /* asked by libraries that are put before libc */
    {SYS_fcntl, 1, F_GETFL},
    /* isatty; no other ioctl: one puts text into the input of the terminal */
    {SYS_ioctl, 1, TCGETS},
    {SYS_ioctl, 1, TIOCGWINSZ},
#ifdef TCGETS2 /* newer headers only */
    {SYS_ioctl, 1, TCGETS2},
#endif
    /* names of files */
    {SYS_openat, ANY},
    {SYS_openat2, ANY},
    {SYS_newfstatat, ANY},
    {SYS_statx, ANY},
    {SYS_renameat2, ANY},
    {SYS_renameat, ANY},
    {SYS_linkat, ANY},
    {SYS_unlinkat, ANY},
#ifdef SYS_open /* old names of the same, which newer architectures lack */
    {SYS_open, ANY},
    {SYS_stat, ANY},
    {SYS_lstat, ANY},
    {SYS_rename, ANY},
    {SYS_link, ANY},
    {SYS_unlink, ANY},
    {SYS_pause, ANY},
#endif
    /* memory and threads */
    {SYS_brk, ANY},
    {SYS_mmap, ANY},
    {SYS_mremap, ANY},
    {SYS_munmap, ANY},
    {SYS_mprotect, ANY},
    {SYS_madvise, ANY},
    {SYS_clone, 0, THREAD}, /* of clone3 the flags cannot be seen */
    {SYS_clone, 0, THREAD | CLONE_DETACHED},
    {SYS_set_robust_list, ANY},
    {SYS_rseq, ANY},
    {SYS_futex, ANY},
    {SYS_sched_getaffinity, ANY},
    {SYS_sched_yield, ANY},
    {SYS_exit, ANY},
    {SYS_exit_group, ANY},
    /* signals, and what glibc asks now and then */
    {SYS_rt_sigaction, ANY},
    {SYS_rt_sigprocmask, ANY},
    {SYS_rt_sigreturn, ANY},
    {SYS_restart_syscall, ANY},
    {SYS_ppoll, ANY},
    {SYS_getpid, ANY},
    {SYS_gettid, ANY},
    {SYS_getrandom, ANY},
    {SYS_clock_gettime, ANY},
    {SYS_sysinfo, ANY},
    {SYS_prlimit64, 0, 0}, /* of this process */
};

enum { N_CALLS = sizeof allowed / sizeof *allowed, MOST_STEPS = 5, HEAD = 4 };

struct program {
    struct sock_filter steps[HEAD + (N_CALLS + 2) * MOST_STEPS + 1];
    unsigned short length;
};

static void step(struct program *program, struct sock_filter filter)
{
    program->steps[program->length++] = filter;
}

static const struct sock_filter load_number =
                                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

/* The number of the call is loaded, before and after. */
static void allow_call(struct program *program, const struct call *call)
{
    bool any = call->argument == ANY;
    step(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call->number, 0,
                                               any ? 1 : MOST_STEPS - 1));
    if (!any) {
        size_t low = offsetof(struct seccomp_data, args) + (size_t)call->argument * sizeof(uint64_t);
        step(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)low));
        step(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call->value, 0, 1));
    }
    step(program, allow);
    if (!any)
        step(program, load_number);
}

/* Calls of another architecture (32 bits) have other numbers. */
static bool filter_calls(void)
{
    struct program program = {
        .steps = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), load_number},
        .length = HEAD,
    };
    for (size_t i = 0; i < N_CALLS; i++)
        allow_call(&program, &allowed[i]);
    /* raise and abort, which musl does by the thread, here the only one */
    allow_call(&program, &(struct call){SYS_tgkill, 0, (unsigned)getpid()});
    allow_call(&program, &(struct call){SYS_tkill, 0, (unsigned)getpid()});
    step(&program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    struct sock_fprog filter = {program.length, program.steps};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

#else

static bool filter_calls(void)
{
    return false; /* nobody has written down the numbers */
}

#endif

const char *i4q_sandbox_enter(struct i4q_sandbox *sandbox)
{
    static const char *const texts[2][2] = {{"no sandbox: the kernel has none", "sandbox: system calls"},
                                            {"sandbox: files", "sandbox: files and system calls"}};
    bool files = false, calls = false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        files = sandbox->ruleset >= 0 && syscall(SYS_landlock_restrict_self, sandbox->ruleset, 0) == 0;
        calls = filter_calls();
    }
    if (sandbox->ruleset >= 0)
        give_up_files(sandbox);
    return texts[files][calls];
}

// SPDX-License-Identifier: Apache-2.0
#include "int4q/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
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

/* A rule that cannot be made, for a pipe say, is not needed: Landlock knows only what has a place in a file
 * system. */
void i4q_sandbox_allow(struct i4q_sandbox *sandbox, const char *path, unsigned access)
{
    struct stat status;
    if (sandbox->ruleset < 0)
        return;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = rights_for(access, S_ISDIR(status.st_mode)) & known_rights(sandbox->abi),
            .parent_fd = fd,
        };
        (void)syscall(SYS_landlock_add_rule, sandbox->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    if (fd >= 0)
        close(fd);
}

/* ---- system calls */

#ifdef OUR_ARCH

/* Of no use to a program that reads files, computes, and writes files. */
static const int refused[] = {
    SYS_socket, SYS_socketpair, SYS_execve,           SYS_execveat,          SYS_ptrace,
    SYS_kill,   SYS_pidfd_open, SYS_process_vm_readv, SYS_process_vm_writev, SYS_io_uring_setup,
};

enum { N_REFUSED = sizeof refused / sizeof *refused };

/* Calls of another architecture (32 bits) have other numbers, and so have those of x32, from 2^30 on. */
static bool filter_calls(void)
{
    enum { HEAD = 5, X32 = 1 << 30 };
    struct sock_filter program[HEAD + N_REFUSED + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, N_REFUSED + 1, 0),
    };
    for (unsigned i = 0; i < N_REFUSED; i++)
        program[HEAD + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)refused[i],
                                                         (unsigned char)(N_REFUSED - i), 0);
    program[HEAD + N_REFUSED] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program[HEAD + N_REFUSED + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
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
        close(sandbox->ruleset);
    sandbox->ruleset = -1;
    return texts[files][calls];
}

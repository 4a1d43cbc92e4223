// SPDX-License-Identifier: Apache-2.0
#include "platform/process.h"

#include "base/error.h"
#include "platform/native.h"
#include "platform/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

enum { SIGNALED = 128 }; /* shells add the signal */

/* Each is opened the wrong way round, so that its use is EBADF, as if it were closed. open(2) gives the
 * lowest number that is free: it is the one that was found closed. */
bool i4q_process_fill_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

/* Leaves no temporary file behind, then dies by the same signal, so that the shell sees the true cause. The
 * handler was reset when it was called. */
static void die(int signal_number)
{
    i4q_temporaries_remove();
    i4q_native_raise(signal_number);
    _exit(SIGNALED + signal_number); /* not reached */
}

/* A page of a mapped file is gone. That is no bug of ours, so no core is dumped. Several threads may find out
 * at once; one tells. */
static void lose_input(int signal_number)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    static const char text[] =
        "int4q: cannot read: a file became shorter while it was read, or its disk fails\n";
    (void)signal_number;
    while (atomic_flag_test_and_set(&told))
        pause();
    i4q_temporaries_remove();
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(I4Q_FAILED);
}

/* Only where nothing else has been decided: a signal that is ignored (nohup) stays so, and those of a mistake
 * of ours belong to a sanitizer, if there is one. */
static void die_of(int signal_number)
{
    struct sigaction action = {.sa_handler = die, .sa_flags = (int)SA_RESETHAND | SA_NODEFER}, old;
    if (sigaction(signal_number, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
        old.sa_handler == SIG_DFL)
        sigaction(signal_number, &action, NULL);
}

/* All signals that end a program unless it says otherwise. */
void i4q_process_handle_signals(void)
{
    static const int deadly[] = {SIGHUP,  SIGINT,    SIGQUIT,  SIGABRT, SIGALRM, SIGTERM,
                                 SIGPIPE, SIGUSR1,   SIGUSR2,  SIGPROF, SIGXCPU, SIGXFSZ,
                                 SIGTRAP, SIGVTALRM, SIGILL,   SIGFPE,  SIGSEGV, SIGSYS,
#ifdef SIGSTKFLT /* Linux */
                                 SIGPOLL, SIGPWR,    SIGSTKFLT
#endif
    };
    struct sigaction lost = {.sa_handler = lose_input};
    sigaction(SIGBUS, &lost, NULL);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        die_of(deadly[i]);
#ifdef SIGRTMIN
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        die_of(s);
#endif
}

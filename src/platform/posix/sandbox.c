// SPDX-License-Identifier: Apache-2.0
/* None: POSIX has nothing that a process could give up. */
#include "platform/sandbox.h"

void i4q_sandbox_begin(struct i4q_sandbox *sandbox)
{
    *sandbox = (struct i4q_sandbox){.ruleset = -1};
}

void i4q_sandbox_allow(struct i4q_sandbox *sandbox, const char *path, unsigned access)
{
    (void)sandbox;
    (void)path;
    (void)access;
}

void i4q_sandbox_allow_folder(struct i4q_sandbox *sandbox, const char *path, unsigned access)
{
    (void)sandbox;
    (void)path;
    (void)access;
}

const char *i4q_sandbox_enter(struct i4q_sandbox *sandbox)
{
    (void)sandbox;
    return "no sandbox: this system has none";
}

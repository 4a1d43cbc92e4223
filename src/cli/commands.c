// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

const struct i4q_command *const i4q_commands[] = {&i4q_cmd_rewrite, &i4q_cmd_inspect, &i4q_cmd_restore, NULL};

const struct i4q_term i4q_exit_statuses[] = {
    {"0", "done"},
    {"1", "could not do it: I/O, memory, output exists"},
    {"2", "wrong usage: unknown option, bad value or combination, pattern without a match"},
    {"3", "model or JSON malformed or unsupported"},
    {"4", "nothing to quantize or restore, a size that cannot be met, or a --require that does not hold"},
    {.name = NULL},
};

const struct i4q_term i4q_environment[] = {
    {"INT4Q_CPU", "scalar, avx2, avx512 or neon: the kernel set to use; what is written never depends on it"},
    {.name = NULL},
};

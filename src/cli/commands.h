// SPDX-License-Identifier: Apache-2.0
/* The commands, and what there is to say of the whole program. */
#ifndef INT4Q_CLI_COMMANDS_H
#define INT4Q_CLI_COMMANDS_H

#include "cli/options.h"

/* Tables end with a row without a name, or NULL. */
struct i4q_term {
    const char *name, *meaning;
};
extern const struct i4q_command *const i4q_commands[];
extern const struct i4q_term i4q_exit_statuses[], i4q_environment[];

#endif

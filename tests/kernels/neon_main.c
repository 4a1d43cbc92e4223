// SPDX-License-Identifier: Apache-2.0
/* The kernel checks as a program of their own, for a CPU that is emulated. */
#include "kernel_checks.h"

#include <stdio.h>

int main(void)
{
    int status = 0;
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++) {
        char message[256] = "equal to the scalar one";
        status |= !i4q_check_kernels(*set, message, sizeof message);
        printf("%s: %s\n", (*set)->name, message);
    }
    return status;
}

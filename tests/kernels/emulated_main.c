// SPDX-License-Identifier: Apache-2.0
/* The kernel checks as a program of their own, for a CPU that is emulated. */
#include "conv_checks.h"
#include "conv_rows_checks.h"
#include "kernel_checks.h"

#include <stdio.h>

static bool report(const char *set, bool right, const char *message)
{
    printf("%s: %s\n", set, right ? "equal to the scalar one" : message);
    return right;
}

static bool check_convs(const struct i4q_conv_kernels *set, char *message, size_t size)
{
    bool right = true;
    for (uint32_t i = 0; right && i < CONV_LISTED; i++) {
        struct conv_case conv = conv_case_at(i);
        right = conv_check(&conv, set, message, size);
    }
    return right;
}

int main(void)
{
    char message[700];
    bool right = true;
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; set[1];
         set++) /* the last is the scalar one */
        right &= report((*set)->name, i4q_check_kernels(*set, message, sizeof message), message);
    for (const struct i4q_conv_kernels *const *set = i4q_conv_sets; set[1]; set++)
        right &= report(i4q_conv_set_name(*set), conv_rows_check(*set, message, sizeof message), message);
    for (const struct i4q_conv_kernels *const *set = i4q_conv_sets; set[1]; set++)
        right &= report(i4q_conv_set_name(*set), check_convs(*set, message, sizeof message), message);
    return !right;
}

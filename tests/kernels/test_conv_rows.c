// SPDX-License-Identifier: Apache-2.0
/* Rows of numbers: every kernel set for Convs against the scalar one. */
#include "testing.h"

#include "conv_rows_checks.h"

static void every_set_equals_scalar(void **state)
{
    (void)state;
    for (const struct i4q_conv_kernels *const *set = i4q_conv_sets; *set; set++) {
        char message[256];
        if (!i4q_conv_supported(*set))
            print_message("skipped: this CPU cannot run %s\n", i4q_conv_set_name(*set));
        else if (!conv_rows_check(*set, message, sizeof message))
            fail_msg("%s", message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_set_equals_scalar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

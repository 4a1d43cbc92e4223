// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include <errno.h>

static void first_error_wins(void **state)
{
    (void)state;
    struct i4q_error error = {0};
    assert_false(i4q_fail(&error, I4Q_MODEL, "tensor '%s' has %d bytes", "w", 3));
    assert_false(i4q_fail(&error, I4Q_USAGE, "later"));
    assert_false(i4q_fail_memory(&error));
    assert_int_equal(error.code, I4Q_MODEL);
    assert_string_equal(error.message, "tensor 'w' has 3 bytes");
}

static void errno_is_told(void **state)
{
    (void)state;
    struct i4q_error error = {0};
    errno = ENOENT;
    i4q_fail_errno(&error, "cannot open %s", "x");
    assert_int_equal(error.code, I4Q_FAILED);
    assert_string_equal(error.message, "cannot open x: No such file or directory");
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    struct i4q_error error = {0};
    char name[5000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    errno = EIO;
    i4q_fail_errno(&error, "%s", name);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(errno_is_told),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "int4q/log.h"

static void control_characters_are_masked(void **state)
{
    (void)state;
    char text[] = "a\x1b[31mb\n\x7f\xc2\x9b"
                  "c\xc3\xa9";
    assert_string_equal(i4q_mask_control(text), "a?[31mb?\?\?\?"
                                                "c\xc3\xa9");
    char cut[] = "x\xc2";
    assert_string_equal(i4q_mask_control(cut), "x\xc2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

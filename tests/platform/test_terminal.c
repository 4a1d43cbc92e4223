// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "platform/terminal.h"

static void control_characters_are_masked(void **state)
{
    (void)state;
    char text[] = "a\x1b[31mb\n\x7f\xc2\x9b"
                  "c\xc3\xa9";
    assert_string_equal(i4q_mask_control(text), "a?[31mb?\?\?\?"
                                                "c\xc3\xa9");
    char cut[] = "x\xc2";
    assert_string_equal(i4q_mask_control(cut), "x?");
}

/* Terminals that are not set to UTF-8 take some bytes for the start of an escape sequence. */
static void what_is_no_text_is_masked(void **state)
{
    (void)state;
    char bytes[] = "a\x9b[31m\xff\xed\xa0\x80z";
    assert_string_equal(i4q_mask_control(bytes), "a?[31m?\?\?\?z");
    char sound[] = "\xc2\xa0\xe2\x82\xac\xf0\x9f\x98\x80";
    assert_string_equal(i4q_mask_control(sound), "\xc2\xa0\xe2\x82\xac\xf0\x9f\x98\x80");
}

static void directions_are_masked(void **state)
{
    (void)state;
    char text[] = "a\xe2\x80\xae"
                  "b\xe2\x81\xa7"
                  "c\xd8\x9c\xe2\x80\xa8"
                  "d\xe2\x80\xaf\xd8\x9b";
    assert_string_equal(i4q_mask_control(text), "a?\?\?b?\?\?c?\?\?\?\?d\xe2\x80\xaf\xd8\x9b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_masked),
        cmocka_unit_test(what_is_no_text_is_masked),
        cmocka_unit_test(directions_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

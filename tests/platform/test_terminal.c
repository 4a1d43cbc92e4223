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

/* Nobody could tell such a name from another. */
static void what_is_invisible_is_masked(void **state)
{
    (void)state;
    static const char *const hidden[] = {"\xc2\xad",     "\xe2\x80\x8b", "\xe2\x81\xa0",    "\xef\xbb\xbf",
                                         "\xef\xb8\x8f", "\xe3\x85\xa4", "\xf3\xa0\x81\x81"};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        char text[16];
        snprintf(text, sizeof text, "a%sb", hidden[i]);
        assert_string_equal(i4q_mask_control(text) + 1, &"?\?\?\?b"[4 - strlen(hidden[i])]);
    }
    char seen[] = "\xc2\xac\xe3\x85\xa5\xef\xbc\x80";
    assert_string_equal(i4q_mask_control(seen), "\xc2\xac\xe3\x85\xa5\xef\xbc\x80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_masked),
        cmocka_unit_test(what_is_no_text_is_masked),
        cmocka_unit_test(directions_are_masked),
        cmocka_unit_test(what_is_invisible_is_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

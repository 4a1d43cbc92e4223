// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/json.h"

#include <math.h>

static void assert_text(const char *text, const char *expected)
{
    json_t *json = i4q_json_text(text);
    assert_string_equal(json_string_value(json), expected);
    json_decref(json);
}

static void text_becomes_utf_8(void **state)
{
    (void)state;
    assert_text("", "");
    assert_text("/model.0/conv\n", "/model.0/conv\n");
    assert_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_text("a\xff"
                "b",
                "a\xef\xbf\xbd"
                "b");
    assert_text("\xc3", "\xef\xbf\xbd");                                                 /* cut off */
    assert_text("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");                                 /* overlong */
    assert_text("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");                 /* a surrogate */
    assert_text("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* beyond U+10FFFF */
    assert_true(json_is_null(i4q_json_text(NULL)));
}

static void figures_that_do_not_exist_are_null(void **state)
{
    (void)state;
    assert_true(json_is_null(i4q_json_real(NAN)));
    assert_true(json_is_null(i4q_json_real(INFINITY)));
    json_t *real = i4q_json_real(1.5);
    assert_true(json_real_value(real) == 1.5);
    json_decref(real);
}

static void put_is_sticky(void **state)
{
    (void)state;
    json_t *object = json_object();
    i4q_json_put(&object, "a", json_integer(1));
    assert_int_equal(json_object_size(object), 1);
    i4q_json_put(&object, "b", NULL); /* as when memory ran out */
    assert_null(object);
    i4q_json_put(&object, "c", json_integer(3));
    assert_null(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_utf_8),
        cmocka_unit_test(figures_that_do_not_exist_are_null),
        cmocka_unit_test(put_is_sticky),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

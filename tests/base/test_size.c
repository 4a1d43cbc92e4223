// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/size.h"

static void sizes_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double size;
    } cases[] = {{"0", 0},     {"8500000", 8500000}, {"8.5M", 8500000}, {"8Mi", 8 << 20}, {"1K", 1000},
                 {"1k", 1000}, {"1.5Ki", 1536},      {"2G", 2e9},       {"1Gi", 1 << 30}, {"12.", 12}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double size = -1;
        assert_true(i4q_size_parse(cases[i].text, &size));
        assert_true(size == cases[i].size);
    }
}

static void what_is_no_size(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",    "M",    "-1",  "+1",  ".5",   "1m",   "1MB", "1 M",
                                        "1e3", "0x10", "nan", "inf", "1Kii", "1..2", "1M2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        double size;
        if (i4q_size_parse(wrong[i], &size))
            fail_msg("'%s' was taken for %g", wrong[i], size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_as_people_write_them),
        cmocka_unit_test(what_is_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

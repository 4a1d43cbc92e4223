// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/crc32.h"

static void known_sums(void **state)
{
    assert_int_equal(i4q_crc32(VIEW("")), 0);
    assert_int_equal(i4q_crc32(VIEW("123456789")), 0xcbf43926); /* the check value of the catalogue of CRCs */
    assert_int_equal(i4q_crc32(VIEW("The quick brown fox jumps over the lazy dog")), 0x414fa339);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

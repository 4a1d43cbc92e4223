// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/bits.h"

enum { COUNT = 21 };

/* Bit after bit, as the header says. */
static unsigned slowly(const uint8_t *stream, size_t i, unsigned bits)
{
    unsigned number = 0;
    for (unsigned b = 0; b < bits; b++) {
        size_t bit = i * bits + b;
        number |= ((unsigned)stream[bit / 8] >> bit % 8 & 1u) << b;
    }
    return number;
}

static void every_width_is_one_stream(void **state)
{
    for (unsigned bits = 1; bits <= 8; bits++) {
        uint8_t stream[COUNT] = {0};
        size_t size = i4q_bits_bytes(COUNT, bits);
        assert_int_equal(size, (COUNT * bits + 7) / 8);
        for (size_t i = 0; i < COUNT; i++)
            i4q_bits_store(stream, i, bits, (unsigned)(i * 37 + 5));
        for (size_t i = 0; i < COUNT; i++) {
            unsigned expected = (unsigned)(i * 37 + 5) & ((1u << bits) - 1);
            assert_int_equal(i4q_bits_load(stream, i, bits), expected);
            assert_int_equal(slowly(stream, i, bits), expected);
        }
        for (size_t i = size; i < COUNT; i++)
            assert_int_equal(stream[i], 0);
    }
}

static void even_ends_with_a_byte(void **state)
{
    static const size_t expected[] = {0, 8, 4, 8, 2, 8, 4, 8, 1};
    for (unsigned bits = 1; bits <= 8; bits++)
        assert_int_equal(i4q_bits_even(bits), expected[bits]);
}

static void twos_complement(void **state)
{
    assert_int_equal(i4q_bits_signed(7, 4), 7);
    assert_int_equal(i4q_bits_signed(8, 4), -8);
    assert_int_equal(i4q_bits_signed(3, 2), -1);
    assert_int_equal(i4q_bits_signed(128, 8), -128);
}

static void huge_counts_do_not_overflow(void **state)
{
    assert_true(i4q_bits_bytes(SIZE_MAX, 8) == SIZE_MAX);
    assert_true(i4q_bits_bytes(SIZE_MAX - 7, 4) == (SIZE_MAX - 7) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_is_one_stream),
        cmocka_unit_test(even_ends_with_a_byte),
        cmocka_unit_test(twos_complement),
        cmocka_unit_test(huge_counts_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Numbers of 1 to 8 bits as one stream: number i stands in the bits from i * bits on, counted from the lowest
 * bit of the first byte, as ONNX packs its types of 2 and 4 bits. */
#ifndef INT4Q_BASE_BITS_H
#define INT4Q_BASE_BITS_H

#include "base/checked.h"

#include <stdint.h>

/* Bytes that n of them occupy; what is left of the last byte is 0. Cannot overflow where n does not. */
static inline size_t i4q_bits_bytes(size_t n, unsigned bits)
{
    return n / 8 * bits + i4q_div_up(n % 8 * bits, 8);
}

/* The least number of them that ends with a byte. */
static inline size_t i4q_bits_even(unsigned bits)
{
    size_t n = 1;
    while (n * bits % 8)
        n *= 2;
    return n;
}

static inline unsigned i4q_bits_load(const uint8_t *stream, size_t i, unsigned bits)
{
    const uint8_t *at = stream + i / 8 * bits + i % 8 * bits / 8;
    unsigned shift = i % 8 * bits % 8, both = *at;
    if (shift + bits > 8)
        both |= (unsigned)at[1] << 8;
    return both >> shift & ((1u << bits) - 1);
}

/* Into zeros. */
static inline void i4q_bits_store(uint8_t *stream, size_t i, unsigned bits, unsigned number)
{
    uint8_t *at = stream + i / 8 * bits + i % 8 * bits / 8;
    unsigned shift = i % 8 * bits % 8, both = (number & ((1u << bits) - 1)) << shift;
    *at = (uint8_t)(*at | both);
    if (shift + bits > 8)
        at[1] = (uint8_t)(at[1] | both >> 8);
}

/* The number as two's complement. */
static inline int i4q_bits_signed(unsigned number, unsigned bits)
{
    int sign = 1 << (bits - 1);
    return ((int)number ^ sign) - sign;
}

#endif

// SPDX-License-Identifier: Apache-2.0
#include "base/crc32.h"

enum { ENTRIES = 256 };
static const uint32_t POLYNOMIAL = 0xedb88320; /* bits reflected */

static void make_table(uint32_t table[static ENTRIES])
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? POLYNOMIAL : 0);
    }
}

uint32_t i4q_crc32(struct i4q_view bytes)
{
    uint32_t table[ENTRIES], crc = UINT32_MAX;
    make_table(table);
    for (size_t i = 0; i < bytes.size; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes.data[i]) & 0xff];
    return ~crc;
}

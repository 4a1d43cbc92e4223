// SPDX-License-Identifier: Apache-2.0
/* CRC-32 of IEEE 802.3, as zlib, gzip and PNG have it: finds files that differ, and is no proof against
 * malice. */
#ifndef INT4Q_BASE_CRC32_H
#define INT4Q_BASE_CRC32_H

#include "base/view.h"

uint32_t i4q_crc32(struct i4q_view bytes);

#endif

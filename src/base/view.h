// SPDX-License-Identifier: Apache-2.0
/* Borrowed bytes. Whoever made the view says how long they live; the holder never frees them. */
#ifndef INT4Q_BASE_VIEW_H
#define INT4Q_BASE_VIEW_H

#include <stddef.h>
#include <stdint.h>

struct i4q_view {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;         /* bytes */
};

#endif

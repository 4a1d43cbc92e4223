// SPDX-License-Identifier: Apache-2.0
/* Statistics that tell how values are spread: for tests of what is decided about activations. */
#ifndef INT4Q_TEST_HISTOGRAMS_H
#define INT4Q_TEST_HISTOGRAMS_H

#include "plan/statistics.h"

/* Histograms of 4 channels for these values, all alike: 4 bins that count 1 each, from 0 to c + 1 for channel
 * c. They live until the next call; close the statistics. */
void histograms_read(struct i4q_statistics *statistics, const char *const *values, size_t count);

#endif

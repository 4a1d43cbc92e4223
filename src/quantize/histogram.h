// SPDX-License-Identifier: Apache-2.0
/* How the values of an activation are spread. */
#ifndef INT4Q_QUANTIZE_HISTOGRAM_H
#define INT4Q_QUANTIZE_HISTOGRAM_H

#include "base/error.h"

#include <stddef.h>

/* How often the values of each channel fall into equal bins between its least and its greatest one.
 * Little-endian numbers of any alignment, borrowed. */
struct i4q_histogram {
    size_t channels, bins;
    const void *low, *high; /* binary32 [channels], finite, low <= high */
    const void *counts;     /* uint32 [channels, bins] */
};

/* The ends of a channel's bins, of all. */
double i4q_histogram_low(const struct i4q_histogram *histogram, size_t channel);
double i4q_histogram_high(const struct i4q_histogram *histogram, size_t channel);

/* What a bin counts, and its middle. */
double i4q_histogram_count(const struct i4q_histogram *histogram, size_t channel, size_t bin);
double i4q_histogram_value(const struct i4q_histogram *histogram, size_t channel, size_t bin);

/* Whether it counts anything. */
bool i4q_histogram_counts(const struct i4q_histogram *histogram);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "quantize/histogram.h"

#include <stdint.h>
#include <string.h>

static float load(const void *numbers, size_t i)
{
    float number;
    memcpy(&number, (const char *)numbers + i * sizeof number, sizeof number);
    return number;
}

double i4q_histogram_low(const struct i4q_histogram *histogram, size_t channel)
{
    return (double)load(histogram->low, channel);
}

double i4q_histogram_high(const struct i4q_histogram *histogram, size_t channel)
{
    return (double)load(histogram->high, channel);
}

double i4q_histogram_count(const struct i4q_histogram *histogram, size_t channel, size_t bin)
{
    uint32_t count;
    memcpy(&count, (const char *)histogram->counts + (channel * histogram->bins + bin) * sizeof count,
           sizeof count);
    return (double)count;
}

bool i4q_histogram_counts(const struct i4q_histogram *histogram)
{
    for (size_t c = 0; c < histogram->channels; c++)
        for (size_t i = 0; i < histogram->bins; i++)
            if (i4q_histogram_count(histogram, c, i) > 0)
                return true;
    return false;
}

double i4q_histogram_value(const struct i4q_histogram *histogram, size_t channel, size_t bin)
{
    double low = i4q_histogram_low(histogram, channel), high = i4q_histogram_high(histogram, channel);
    return low + ((double)bin + 0.5) * (high - low) / (double)histogram->bins;
}

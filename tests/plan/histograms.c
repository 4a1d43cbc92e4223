// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/histograms.h"

enum { CHANNELS = 4, BINS = 4 };

void histograms_read(struct i4q_statistics *statistics, const char *const *values, size_t count)
{
    static uint8_t file[8192];
    float data[2 * CHANNELS];
    uint32_t counts[CHANNELS * BINS];
    char header[4096];
    int length = snprintf(header, sizeof header, "{\"__metadata__\": {\"images\": \"4\"}");
    for (size_t i = 0; i < count; i++)
        length +=
            snprintf(header + length, sizeof header - (size_t)length,
                     ", \"%s|lo\": {\"dtype\": \"F32\", \"shape\": [4], \"data_offsets\": [0, 16]}"
                     ", \"%s|hi\": {\"dtype\": \"F32\", \"shape\": [4], \"data_offsets\": [16, 32]}"
                     ", \"%s|hist\": {\"dtype\": \"U32\", \"shape\": [4, 4], \"data_offsets\": [32, 96]}",
                     values[i], values[i], values[i]);
    length += snprintf(header + length, sizeof header - (size_t)length, "}");
    for (size_t i = 0; i < CHANNELS; i++) {
        data[i] = 0;
        data[CHANNELS + i] = (float)(i + 1);
    }
    for (size_t i = 0; i < CHANNELS * BINS; i++)
        counts[i] = 1;
    uint64_t size = (uint64_t)length;
    memcpy(file, &size, sizeof size);
    memcpy(file + 8, header, size);
    memcpy(file + 8 + size, data, sizeof data);
    memcpy(file + 8 + size + sizeof data, counts, sizeof counts);
    struct i4q_error error = {0};
    assert_true(i4q_statistics_read(statistics,
                                    (struct i4q_view){file, 8 + size + sizeof data + sizeof counts}, &error));
}

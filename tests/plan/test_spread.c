// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/spread.h"

#include <math.h>

enum { WORDS = 16 };

static uint8_t file[2048];
static struct i4q_statistics statistics;
static struct i4q_error error;
static struct i4q_histogram histogram;

static int teardown(void **state)
{
    i4q_statistics_close(&statistics);
    return 0;
}

/* A file with these entries; its data are the words 0, 1, 2, ... but where it has ends: then floats. */
static void open_file(const char *entries, const float ends[4])
{
    char header[1024];
    uint64_t length =
        (uint64_t)snprintf(header, sizeof header, "{\"__metadata__\": {\"images\": \"4\"}%s}", entries);
    memcpy(file, &length, sizeof length);
    memcpy(file + sizeof length, header, length);
    for (uint32_t i = 0; i < WORDS; i++)
        memcpy(file + sizeof length + length + i * sizeof i, &i, sizeof i);
    memcpy(file + sizeof length + length, ends, 4 * sizeof *ends);
    i4q_statistics_close(&statistics);
    error = (struct i4q_error){0};
    if (!i4q_statistics_read(&statistics, (struct i4q_view){file, sizeof length + length + WORDS * 4},
                             &error))
        fail_msg("%s", error.message);
}

static const char whole[] =
    ", \"t|lo\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}"
    ", \"t|hi\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [8, 16]}"
    ", \"t|hist\": {\"dtype\": \"U32\", \"shape\": [2, 3], \"data_offsets\": [16, 40]}";

static bool find(const char *value)
{
    error = (struct i4q_error){0};
    return i4q_statistics_spread(&statistics, value, 100, &histogram, &error);
}

static void histograms_are_found_by_value(void **state)
{
    open_file(whole, (const float[]){-1, 0, 2, 5});
    assert_true(i4q_statistics_have_spreads(&statistics));
    assert_true(find("t"));
    assert_int_equal(histogram.channels, 2);
    assert_int_equal(histogram.bins, 3);
    assert_true(i4q_histogram_low(&histogram, 0) == -1 && i4q_histogram_high(&histogram, 1) == 5);
    assert_true(i4q_histogram_counts(&histogram));
}

static void other_values_have_none(void **state)
{
    open_file(whole, (const float[]){-1, 0, 2, 5});
    assert_true(find("u"));
    assert_int_equal(histogram.channels, 0);
    open_file("", (const float[]){0, 0, 0, 0});
    assert_false(i4q_statistics_have_spreads(&statistics));
}

static void ends_have_to_be_in_order(void **state)
{
    static const float bad[][4] = {{1, 0, 0.5f, 5}, {0, 0, 0, 101}, {-101, 0, 0, 0}, {0, 0, 0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        float ends[4];
        memcpy(ends, bad[i], sizeof ends);
        ends[1] = i == 3 ? NAN : ends[1];
        open_file(whole, ends);
        assert_false(find("t"));
        assert_int_equal(error.code, I4Q_MODEL);
        assert_non_null(strstr(error.message, "reaches from"));
    }
}

static void parts_have_to_fit_each_other(void **state)
{
    static const struct {
        const char *entries, *told;
    } bad[] = {
        {", \"t|hist\": {\"dtype\": \"U32\", \"shape\": [2, 3], \"data_offsets\": [16, 40]}", "ends"},
        {", \"t|hist\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [16, 40]}", "not U32"},
        {", \"t|hist\": {\"dtype\": \"U32\", \"shape\": [6], \"data_offsets\": [16, 40]}", "2 dimensions"},
        {", \"t|hist\": {\"dtype\": \"U32\", \"shape\": [2, 0], \"data_offsets\": [16, 16]}", "not empty"},
        {", \"t|hist\": {\"dtype\": \"U32\", \"shape\": [2, 4611686018427387904], \"data_offsets\": [0, 0]}",
         "2 dimensions"},
        {", \"t|hist\": {\"dtype\": \"U32\", \"shape\": [2, 3], \"data_offsets\": [48, 72]}", "lie within"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_file(bad[i].entries, (const float[]){0, 0, 1, 1});
        assert_false(find("t"));
        assert_int_equal(error.code, I4Q_MODEL);
        if (!strstr(error.message, bad[i].told))
            fail_msg("%s", error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(histograms_are_found_by_value, teardown),
        cmocka_unit_test_teardown(other_values_have_none, teardown),
        cmocka_unit_test_teardown(ends_have_to_be_in_order, teardown),
        cmocka_unit_test_teardown(parts_have_to_fit_each_other, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

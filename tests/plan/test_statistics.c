// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/statistics.h"

enum { FLOATS = 32 };

static uint8_t file[2048];
static struct i4q_statistics statistics;
static struct i4q_error error;

/* A file with this header, and the numbers 0, 1, 2, ... as data. */
static struct i4q_view with_header(const char *header)
{
    uint64_t length = strlen(header);
    memcpy(file, &length, sizeof length);
    memcpy(file + sizeof length, header, length);
    for (size_t i = 0; i < FLOATS; i++) {
        float number = (float)i;
        memcpy(file + sizeof length + length + i * sizeof number, &number, sizeof number);
    }
    return (struct i4q_view){file, sizeof length + length + FLOATS * sizeof(float)};
}

/* With entries beside the metadata of a real one. */
static void read_entries(const char *entries)
{
    char header[1024];
    snprintf(header, sizeof header, "{\"__metadata__\": {\"images\": \"4\"}%s%s}", *entries ? ", " : "",
             entries);
    error = (struct i4q_error){0};
    if (!i4q_statistics_read(&statistics, with_header(header), &error))
        fail_msg("%s", error.message);
}

static int teardown(void **state)
{
    i4q_statistics_close(&statistics);
    return 0;
}

static float number(const void *numbers, size_t i)
{
    float value;
    memcpy(&value, (const char *)numbers + i * sizeof value, sizeof value);
    return value;
}

static bool find(size_t channels, size_t k, struct i4q_moments *moments)
{
    error = (struct i4q_error){0};
    return i4q_statistics_find(&statistics, "w", channels, k, 100, moments, &error);
}

static void entries_are_found_by_weight(void **state)
{
    struct i4q_moments moments;
    read_entries("\"w|mu\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]},"
                 "\"w|H\": {\"dtype\": \"F32\", \"shape\": [2, 3, 3], \"data_offsets\": [24, 96]}");
    assert_int_equal(statistics.images, 4);
    assert_true(find(4, 3, &moments));
    assert_int_equal(moments.groups, 2);
    assert_int_equal(moments.k, 3);
    assert_true(number(moments.mean, 5) == 5 && number(moments.second, 0) == 6);
    assert_null(moments.target);
    assert_null(moments.shift);
}

static void one_group_needs_no_dimension(void **state)
{
    struct i4q_moments moments;
    read_entries("\"w|mu\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [4, 16]},"
                 "\"w|target\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]},"
                 "\"w|shift\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [8, 16]}");
    assert_true(find(2, 3, &moments));
    assert_int_equal(moments.groups, 1);
    assert_true(number(moments.mean, 0) == 1 && number(moments.shift, 1) == 3);
    assert_true(number(moments.target, 5) == 5);
    assert_null(moments.second);
}

static void what_is_not_there_is_not_known(void **state)
{
    struct i4q_moments moments;
    read_entries("");
    assert_true(find(2, 3, &moments));
    assert_null(moments.mean);
    assert_int_equal(moments.groups, 1);
}

static void what_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *entry, *message;
    } cases[] = {
        {"\"w|mu\": {\"dtype\": \"F16\", \"shape\": [3], \"data_offsets\": [0, 12]}", "is not F32"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [4], \"data_offsets\": [0, 16]}", "is not F32"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [2, 2, 3], \"data_offsets\": [0, 48]}", "is not F32"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [-1, 3], \"data_offsets\": [0, 12]}", "is not F32"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [0, 8]}", "within the file"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [124, 136]}", "within the file"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [-4, 8]}", "within the file"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [4, 3], \"data_offsets\": [0, 48]}", "do not divide 2"},
        {"\"w|mu\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [0, 12]},"
         "\"w|H\": {\"dtype\": \"F32\", \"shape\": [2, 3, 3], \"data_offsets\": [0, 72]}",
         "is not F32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct i4q_moments moments;
        read_entries(cases[i].entry);
        assert_false(find(2, 3, &moments));
        assert_failed(error, I4Q_MODEL, cases[i].message);
        i4q_statistics_close(&statistics);
    }
}

static void targets_have_numbers_that_can_be_computed_with(void **state)
{
    struct i4q_moments moments;
    read_entries("\"w|mu\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [0, 12]},"
                 "\"w|target\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [96, 120]}");
    assert_true(i4q_statistics_find(&statistics, "w", 2, 3, 29, &moments, &error));
    assert_false(i4q_statistics_find(&statistics, "w", 2, 3, 28, &moments, &error));
    assert_failed(error, I4Q_MODEL, "'w|target' or its shift has a number beyond 28");
}

static void other_files_are_refused(void **state)
{
    static const struct {
        const char *header, *message;
    } cases[] = {
        {"[]", "no JSON object"},
        {"{", "not JSON"},
        {"{}", "no number of images"},
        {"{\"__metadata__\": {\"images\": 4}}", "no number of images"},
        {"{\"__metadata__\": {\"images\": \"0\"}}", "no number of images"},
        {"{\"__metadata__\": {\"images\": \"4x\"}}", "no number of images"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        error = (struct i4q_error){0};
        assert_false(i4q_statistics_read(&statistics, with_header(cases[i].header), &error));
        assert_failed(error, I4Q_MODEL, cases[i].message);
    }
    error = (struct i4q_error){0};
    assert_false(i4q_statistics_read(&statistics, VIEW("short"), &error));
    assert_failed(error, I4Q_MODEL, "it has 5 bytes");
    error = (struct i4q_error){0};
    assert_false(i4q_statistics_read(&statistics, VIEW("\xff\0\0\0\0\0\0\0{}"), &error));
    assert_failed(error, I4Q_MODEL, "its header has 255 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(entries_are_found_by_weight, teardown),
        cmocka_unit_test_teardown(one_group_needs_no_dimension, teardown),
        cmocka_unit_test_teardown(what_is_not_there_is_not_known, teardown),
        cmocka_unit_test_teardown(what_does_not_fit_is_refused, teardown),
        cmocka_unit_test_teardown(targets_have_numbers_that_can_be_computed_with, teardown),
        cmocka_unit_test_teardown(other_files_are_refused, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

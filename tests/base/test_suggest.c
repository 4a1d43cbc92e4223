// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/suggest.h"

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } rows[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"method", "method", 0},
        {"methd", "method", 1},
        {"mehtod", "method", 1},
        {"methodd", "method", 1},
        {"nethod", "method", 1},
        {"quantize", "rewrite", 6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(i4q_edit_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(i4q_edit_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
    char longer[I4Q_SUGGEST_LENGTH + 2] = {0};
    memset(longer, 'a', sizeof longer - 1);
    assert_true(i4q_edit_distance(longer, "a") == SIZE_MAX);
    longer[I4Q_SUGGEST_LENGTH] = '\0';
    assert_int_equal(i4q_edit_distance(longer, "a"), I4Q_SUGGEST_LENGTH - 1);
}

static const char *nearest(const char *word)
{
    static const char *const candidates[] = {"rewrite",     "inspect", "restore",
                                             "calibration", "keep",    "keep-format"};
    struct i4q_suggestion suggestion = {.word = word};
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
        i4q_suggest(&suggestion, candidates[i]);
    return suggestion.found ? suggestion.found : "";
}

static void the_nearest_is_suggested(void **state)
{
    (void)state;
    assert_string_equal(nearest("rewrit"), "rewrite");
    assert_string_equal(nearest("inpsect"), "inspect");
    assert_string_equal(nearest("calib"), "calibration");
    assert_string_equal(nearest("kep"), "keep");
    assert_string_equal(nearest("keep-fromat"), "keep-format");
    assert_string_equal(nearest("quantize"), "");
    assert_string_equal(nearest(""), "");
    assert_string_equal(nearest("ke"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(distances),
                                       cmocka_unit_test(the_nearest_is_suggested)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

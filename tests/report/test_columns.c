// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "report/columns.h"

static const char *const names[] = {"/model.0/conv/Conv", "/m\xc3\xbc/Conv"};

static void fill_name(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%s", ((const char *const *)rows)[row]);
}

static void fill_index(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%zu", row);
}

static void fill_low(const void *rows, size_t row, struct i4q_cell *cell)
{
    i4q_cell_decibels(row ? 12 : 9.5, cell);
}

static void print_below(const void *rows, size_t row, FILE *stream)
{
    fprintf(stream, "below %zu\n", row);
}

static const struct i4q_column columns[] = {
    {"name", false, 0, fill_name},
    {"first", true, 1, fill_index},
    {"second", true, 2, fill_index},
    {"dB", true, 0, fill_low},
};

static const char *print(const struct i4q_look *look, bool below)
{
    static char text[1024];
    FILE *stream = fmemopen(text, sizeof text, "w");
    const struct i4q_sheet sheet = {columns, 4, names, 2, below ? print_below : NULL};
    i4q_sheet_print(&sheet, look, stream);
    fclose(stream);
    return text;
}

static void columns_line_up_by_characters(void **state)
{
    assert_string_equal(print(&(struct i4q_look){0}, false),
                        "name                first  second     dB\n"
                        "/model.0/conv/Conv      0       0   9.50\n"
                        "/m\xc3\xbc/Conv                1       1  12.00\n");
}

static void what_is_spare_goes_first(void **state)
{
    assert_string_equal(print(&(struct i4q_look){.width = 33}, false),
                        "name                first     dB\n"
                        "/model.0/conv/Conv      0   9.50\n"
                        "/m\xc3\xbc/Conv                1  12.00\n");
}

static void then_names_are_cut(void **state)
{
    assert_string_equal(print(&(struct i4q_look){.width = 20}, true), "name              dB\n"
                                                                      "/mode..v/Conv   9.50\n"
                                                                      "below 0\n"
                                                                      "/m\xc3\xbc/Conv       12.00\n"
                                                                      "below 1\n");
}

static void tones_take_no_room(void **state)
{
    const char *text = print(&(struct i4q_look){.colour = true}, false);
    assert_non_null(strstr(text, "\033[1mname\033[0m                \033[1mfirst"));
    assert_non_null(strstr(text, "   \033[31m9.50\033[0m\n"));
    assert_non_null(strstr(text, "  \033[33m12.00\033[0m\n"));
}

static void the_middle_is_cut_between_characters(void **state)
{
    char text[I4Q_TEXT_NAME] = "\xc3\xa4\xc3\xb6\xc3\xbc.conv.\xc3\x9f\xc3\xa9";
    i4q_cut_middle(text, 12);
    assert_string_equal(text, "\xc3\xa4\xc3\xb6\xc3\xbc.conv.\xc3\x9f\xc3\xa9");
    i4q_cut_middle(text, 6);
    assert_string_equal(text, "\xc3\xa4\xc3\xb6..\xc3\x9f\xc3\xa9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up_by_characters),
        cmocka_unit_test(what_is_spare_goes_first),
        cmocka_unit_test(then_names_are_cut),
        cmocka_unit_test(tones_take_no_room),
        cmocka_unit_test(the_middle_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

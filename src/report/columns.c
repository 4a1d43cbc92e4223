// SPDX-License-Identifier: Apache-2.0
#include "report/columns.h"

#include <math.h>
#include <string.h>

enum { GAP = 2, LEAST_NAME = 24, SHORTEST_NAME = 8 };

/* A tenth of the power, and a thirtieth. */
static const double BAD_DECIBELS = 10, LOW_DECIBELS = 15;

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Characters of masked text, which is UTF-8. */
static size_t length_of(const char *text)
{
    size_t length = 0;
    for (; *text; text++)
        length += !continues(*text);
    return length;
}

/* Behind the first `count` characters. */
static const char *skip(const char *text, size_t count)
{
    while (*text && (count || continues(*text)))
        count -= !continues(*text++);
    return text;
}

/* ---- tones */

void i4q_print_tone(const char *text, enum i4q_tone tone, const struct i4q_look *look, FILE *stream)
{
    static const char *const sequences[] = {
        [I4Q_TONE_TITLE] = "\033[1m", [I4Q_TONE_LOW] = "\033[33m", [I4Q_TONE_BAD] = "\033[31m"};
    bool coloured = look->colour && tone;
    fprintf(stream, "%s%s%s", coloured ? sequences[tone] : "", text, coloured ? "\033[0m" : "");
}

void i4q_cell_decibels(double decibels, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, isnan(decibels) ? "-" : "%.2f", decibels);
    cell->tone = decibels < BAD_DECIBELS   ? I4Q_TONE_BAD
                 : decibels < LOW_DECIBELS ? I4Q_TONE_LOW
                                           : I4Q_TONE_PLAIN;
}

/* ---- widths */

struct layout {
    size_t widths[I4Q_SHEET_COLUMNS]; /* 0: left out */
    bool cuts;                        /* names that are too long */
};

static size_t width_of(const struct i4q_sheet *sheet, const struct i4q_column *column)
{
    size_t width = length_of(column->title);
    for (size_t i = 0; i < sheet->n_rows; i++) {
        struct i4q_cell cell = {.text = ""};
        column->fill(sheet->rows, i, &cell);
        size_t length = length_of(cell.text);
        width = length > width ? length : width;
    }
    return width;
}

static size_t whole_width(const struct i4q_sheet *sheet, const struct layout *layout)
{
    size_t width = 0;
    for (size_t i = 0; i < sheet->n_columns; i++)
        width += layout->widths[i] ? layout->widths[i] + GAP : 0;
    return width - GAP;
}

/* The column that is missed least of those that are left; 0: all are needed. */
static size_t find_spare(const struct i4q_sheet *sheet, const struct layout *layout)
{
    size_t spare = 0;
    for (size_t i = 1; i < sheet->n_columns; i++)
        if (layout->widths[i] && sheet->columns[i].spare > sheet->columns[spare].spare)
            spare = i;
    return spare;
}

/* Columns go while the names would have to be cut down to less than LEAST_NAME. */
static void fit(const struct i4q_sheet *sheet, size_t room, struct layout *layout)
{
    size_t name = layout->widths[0], least = name < LEAST_NAME ? name : LEAST_NAME, spare;
    while (whole_width(sheet, layout) - name + least > room && (spare = find_spare(sheet, layout)))
        layout->widths[spare] = 0;
    size_t others = whole_width(sheet, layout) - name, left = room > others ? room - others : 0;
    layout->cuts = name > left;
    if (layout->cuts)
        layout->widths[0] = left > SHORTEST_NAME ? left : SHORTEST_NAME;
}

static struct layout lay_out(const struct i4q_sheet *sheet, const struct i4q_look *look)
{
    struct layout layout = {.cuts = false};
    for (size_t i = 0; i < sheet->n_columns; i++)
        layout.widths[i] = width_of(sheet, &sheet->columns[i]);
    if (look->width)
        fit(sheet, look->width, &layout);
    else if (layout.widths[0] > I4Q_TEXT_MAX_NAME)
        layout.widths[0] = I4Q_TEXT_MAX_NAME;
    return layout;
}

/* ---- lines */

void i4q_cut_middle(char text[static I4Q_TEXT_NAME], size_t width)
{
    size_t length = length_of(text), head = (width - 2) / 2, tail = width - 2 - head;
    if (length <= width)
        return;
    char *middle = text + (skip(text, head) - text);
    const char *end = skip(text, length - tail);
    memmove(middle + 2, end, strlen(end) + 1);
    middle[0] = middle[1] = '.';
}

static void print_cell(const struct i4q_cell *cell, const struct i4q_column *column, size_t width, bool last,
                       const struct i4q_look *look, FILE *stream)
{
    size_t length = length_of(cell->text);
    int blanks = width > length ? (int)(width - length) : 0;
    fprintf(stream, "%*s", column->is_number ? blanks : 0, "");
    i4q_print_tone(cell->text, cell->tone, look, stream);
    fprintf(stream, "%*s", last ? 0 : GAP + (column->is_number ? 0 : blanks), "");
}

enum { TITLES = -1 }; /* in place of a row */

static struct i4q_cell find_cell(const struct i4q_sheet *sheet, const struct i4q_column *column,
                                 ptrdiff_t row)
{
    struct i4q_cell cell = {.text = ""};
    if (row == TITLES) {
        snprintf(cell.text, sizeof cell.text, "%s", column->title);
        cell.tone = I4Q_TONE_TITLE;
    } else {
        column->fill(sheet->rows, (size_t)row, &cell);
    }
    return cell;
}

static void print_line(const struct i4q_sheet *sheet, const struct layout *layout, ptrdiff_t row,
                       const struct i4q_look *look, FILE *stream)
{
    size_t last = sheet->n_columns - 1;
    while (!layout->widths[last])
        last--;
    for (size_t i = 0; i <= last; i++) {
        if (!layout->widths[i])
            continue;
        struct i4q_cell cell = find_cell(sheet, &sheet->columns[i], row);
        if (i == 0 && layout->cuts)
            i4q_cut_middle(cell.text, layout->widths[0]);
        print_cell(&cell, &sheet->columns[i], layout->widths[i], i == last, look, stream);
    }
    fputc('\n', stream);
}

void i4q_sheet_print(const struct i4q_sheet *sheet, const struct i4q_look *look, FILE *stream)
{
    struct layout layout = lay_out(sheet, look);
    print_line(sheet, &layout, TITLES, look, stream);
    for (size_t i = 0; i < sheet->n_rows; i++) {
        print_line(sheet, &layout, (ptrdiff_t)i, look, stream);
        if (sheet->below)
            sheet->below(sheet->rows, i, stream);
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Tables that people read, fitted to the terminal: where there is no room for all of it, columns that matter
 * least are left out, then the middle of long names. Widths are those of characters that take one place. */
#ifndef INT4Q_REPORT_COLUMNS_H
#define INT4Q_REPORT_COLUMNS_H

#include "platform/terminal.h"
#include "report/text.h"

#include <stdio.h>

struct i4q_cell {
    char text[I4Q_TEXT_NAME];
    enum i4q_tone tone;
};

struct i4q_column {
    const char *title;
    bool is_number; /* ends where the column ends */
    unsigned spare; /* columns are left out from the highest on; 0: never */
    /* Fills in the cell of a row, which is empty and plain. Called several times. */
    void (*fill)(const void *rows, size_t row, struct i4q_cell *cell);
};

/* The first column has the names, which alone are ever cut. */
struct i4q_sheet {
    const struct i4q_column *columns;
    size_t n_columns; /* at most I4Q_SHEET_COLUMNS */
    const void *rows;
    size_t n_rows;
    void (*below)(const void *rows, size_t row, FILE *stream); /* prints what stands below a row; or NULL */
};

enum { I4Q_SHEET_COLUMNS = 16 };

void i4q_sheet_print(const struct i4q_sheet *sheet, const struct i4q_look *look, FILE *stream);

/* Leaves out the middle of text that is longer than `width`, at least 4: beginning and end tell more. */
void i4q_cut_middle(char text[static I4Q_TEXT_NAME], size_t width);

/* Prints text in a tone. */
void i4q_print_tone(const char *text, enum i4q_tone tone, const struct i4q_look *look, FILE *stream);

/* The cell of a signal-to-noise ratio: "-" where it is NAN, in a tone where it is low. */
void i4q_cell_decibels(double decibels, struct i4q_cell *cell);

#endif

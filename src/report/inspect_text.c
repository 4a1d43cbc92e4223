// SPDX-License-Identifier: Apache-2.0
#include "report/inspect_report.h"

#include "report/activation_report.h"
#include "report/columns.h"
#include "report/fake_report.h"
#include "report/origins.h"
#include "report/summary.h"

#include <inttypes.h>
#include <math.h>

/* ---- all Convs */

static const struct i4q_inspected *row_of(const void *rows, size_t row)
{
    return &((const struct i4q_inspected *)rows)[row];
}

/* A word, or "-". */
static void fill_word(const char *word, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%s", word ? word : "-");
}

static void fill_name(const void *rows, size_t row, struct i4q_cell *cell)
{
    i4q_text_name(row_of(rows, row)->conv, cell->text);
}

static void fill_shape(const void *rows, size_t row, struct i4q_cell *cell)
{
    i4q_text_shape(&row_of(rows, row)->storage, cell->text);
}

static void fill_stored(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct i4q_storage *storage = &row_of(rows, row)->storage;
    i4q_text_stored(storage->name, storage->origin, cell->text);
}

static void fill_granularity(const void *rows, size_t row, struct i4q_cell *cell)
{
    fill_word(i4q_granularity_name(row_of(rows, row)->storage.granularity), cell);
}

static void fill_zero_point(const void *rows, size_t row, struct i4q_cell *cell)
{
    fill_word(i4q_inspected_zero_point(row_of(rows, row)), cell);
}

static void fill_bytes(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%zu", row_of(rows, row)->storage.bytes);
}

static void fill_scales(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct i4q_inspected *inspected = row_of(rows, row);
    fill_word(NULL, cell);
    if (isfinite(inspected->scale_min))
        snprintf(cell->text, sizeof cell->text, "%.3g .. %.3g", inspected->scale_min, inspected->scale_max);
}

static void fill_decibels(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct i4q_inspected *inspected = row_of(rows, row);
    i4q_cell_decibels(inspected->compared ? inspected->sqnr_db : NAN, cell);
}

static void fill_max_error(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct i4q_inspected *inspected = row_of(rows, row);
    fill_word(NULL, cell);
    if (inspected->compared)
        snprintf(cell->text, sizeof cell->text, "%.3g", inspected->max_error);
}

/* How often each code occurs, and how many stand at the two ends: a grid that is used up clips. */
static void print_histogram(const void *rows, size_t index, FILE *stream)
{
    const struct i4q_inspected *row = row_of(rows, index);
    size_t total = 0, ends = 0;
    for (size_t i = 0; i < row->n_histogram; i++)
        total += row->histogram[i];
    if (!total)
        return;
    ends = row->histogram[0] + row->histogram[row->n_histogram - 1];
    fprintf(stream, "    codes");
    for (size_t i = 0; i < row->n_histogram && row->n_histogram <= 16; i++)
        fprintf(stream, " %zu", row->histogram[i]);
    fprintf(stream, "%s at the ends %.2f %%, zero channels %zu\n", row->n_histogram <= 16 ? ";" : "",
            100 * (double)ends / (double)total, row->zero_channels);
}

/* The last two need a reference. */
static const struct i4q_column columns[] = {
    {"conv", false, 0, fill_name},
    {"shape", false, 3, fill_shape},
    {"stored", false, 0, fill_stored},
    {"scales", false, 4, fill_granularity},
    {"zero point", false, 5, fill_zero_point},
    {"bytes", true, 0, fill_bytes},
    {"scale range", false, 1, fill_scales},
    {"SQNR dB", true, 0, fill_decibels},
    {"max error", true, 2, fill_max_error},
};

static void print_table(const struct i4q_inspect_report *report, FILE *stream)
{
    const struct i4q_sheet sheet = {.columns = columns,
                                    .n_columns =
                                        sizeof columns / sizeof *columns - (report->has_reference ? 0 : 2),
                                    .rows = report->inspection->rows,
                                    .n_rows = report->inspection->n_rows,
                                    .below = print_histogram};
    i4q_sheet_print(&sheet, &report->look, stream);
    fputc('\n', stream);
    i4q_activation_table(report->inspection->activations, report->inspection->n_activations, &report->look,
                         stream);
}

/* ---- stages and totals */

static void summarize(const struct i4q_inspection *inspection, struct i4q_summary *summary)
{
    i4q_summary_begin(summary, inspection->convs, inspection->n_rows);
    for (size_t i = 0; i < inspection->n_rows; i++) {
        const struct i4q_inspected *row = &inspection->rows[i];
        const struct i4q_summed summed = {
            .storage = row->storage.name,
            .weights = row->storage.count,
            .bytes = row->storage.bytes,
            .sqnr_db = row->compared ? row->sqnr_db : NAN,
        };
        i4q_summary_add(summary, row->conv, &summed);
    }
}

static void print_totals(const struct i4q_inspection *inspection, FILE *stream)
{
    const char *separator = "convs     ";
    for (size_t i = 0; i4q_kind_word(i); i++) {
        size_t total = i4q_inspection_total(inspection, i4q_kind_word(i));
        if (!total)
            continue;
        fprintf(stream, "%s %zu %s", separator, total, i4q_kind_word(i));
        separator = ",";
    }
    fputs(inspection->n_rows ? "\n" : "convs      none\n", stream);
}

static void print_line(const char *word, const char *text, enum i4q_tone tone, const struct i4q_look *look,
                       FILE *stream)
{
    char masked[I4Q_TEXT_NAME];
    fprintf(stream, "%-11s", word);
    i4q_print_tone(i4q_text_mask(text, masked), tone, look, stream);
    fputc('\n', stream);
}

/* Without the table: of one kind so many are told one by one, of more how many they are; in so many lines. */
enum { FEW = 3, DIFFERENCE_LINES = 12 };

static void print_differences(const struct i4q_inspect_report *report, FILE *stream)
{
    const struct i4q_differences *all = &report->inspection->differences;
    size_t lines = 0, hidden = 0;
    for (size_t i = 0; i < all->texts.count; i++) {
        const struct i4q_difference_kind *kind = i4q_difference_kind(all, i);
        char many[I4Q_TEXT_NAME];
        bool alone = report->table || kind->count <= FEW;
        snprintf(many, sizeof many, "%zu %s", kind->count, kind->text);
        hidden += !alone;
        if (!alone && kind->first != i)
            continue;
        if (report->table || lines < DIFFERENCE_LINES)
            print_line("differs", alone ? all->texts.items[i] : many, I4Q_TONE_PLAIN, &report->look, stream);
        else
            hidden += alone;
        lines++;
    }
    if (!report->table && lines > DIFFERENCE_LINES)
        fprintf(stream, "differs    and in %zu other way%s\n", lines - DIFFERENCE_LINES,
                lines > DIFFERENCE_LINES + 1 ? "s" : "");
    if (hidden)
        fputs("           (--table lists all differences)\n", stream);
}

static void print_requirement(const struct i4q_requirement *requirement, const struct i4q_look *look,
                              FILE *stream)
{
    char text[I4Q_TEXT_NAME];
    snprintf(text, sizeof text, "%s: %s (%.0f)", requirement->text,
             requirement->holds ? "holds" : "does not hold", requirement->value);
    print_line("require", text, requirement->holds ? I4Q_TONE_PLAIN : I4Q_TONE_BAD, look, stream);
}

void i4q_inspect_text(const struct i4q_inspect_report *report, FILE *stream)
{
    const struct i4q_inspection *inspection = report->inspection;
    struct i4q_summary summary;
    summarize(inspection, &summary);
    if (report->table)
        print_table(report, stream);
    else
        i4q_summary_stages(&summary, false, report->has_reference, &report->look, stream);
    print_totals(inspection, stream);
    i4q_activation_totals(inspection->activations, inspection->n_activations, stream);
    i4q_fake_totals(inspection->fakes, inspection->n_fakes, stream);
    if (!report->table)
        i4q_summary_worst(&summary, &report->look, stream);
    if (inspection->integers)
        fprintf(stream, "bits       %.4f a weight that is no float, with scales and zero points\n",
                i4q_inspection_bits(inspection));
    fprintf(stream, "file       %zu bytes, opset %" PRId64 ", IR version %" PRId64 "\n", report->bytes,
            inspection->opset, inspection->model->proto->ir_version);
    for (size_t i = 0; i < inspection->problems.count; i++)
        print_line("problem", inspection->problems.items[i], I4Q_TONE_BAD, &report->look, stream);
    print_differences(report, stream);
    for (size_t i = 0; i < report->n_requirements; i++)
        print_requirement(&report->requirements[i], &report->look, stream);
}

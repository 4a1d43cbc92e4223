// SPDX-License-Identifier: Apache-2.0
#include "report/rewrite_rows.h"

#include "report/columns.h"
#include "report/origins.h"
#include "report/rewrite_figures.h"
#include "report/summary.h"

#include <math.h>

/* ---- all Convs */

struct table {
    const struct i4q_plan *plan;
    const struct i4q_told *told; /* [n_rows] */
};

static void fill_name(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct table *table = rows;
    i4q_text_name(table->plan->rows[row].conv, cell->text);
}

static void fill_shape(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct table *table = rows;
    i4q_text_shape(&table->told[row].before, cell->text);
}

static void fill_weights(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct table *table = rows;
    snprintf(cell->text, sizeof cell->text, "%zu", table->told[row].before.count);
}

static void fill_stored(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct table *table = rows;
    const struct i4q_told *told = &table->told[row];
    const char *reason = i4q_reasons[table->plan->rows[row].reason].word;
    const struct i4q_plan_weight *weight = table->plan->rows[row].weight;
    size_t block = table->plan->mixture && weight && weight->recipe && weight->job ? weight->job->block : 0;
    if (told->imported)
        i4q_text_stored(told->storage, told->imported, cell->text);
    else if (block) /* as --choices has it */
        snprintf(cell->text, sizeof cell->text, "%s:%zu", told->storage, block);
    else
        snprintf(cell->text, sizeof cell->text, reason ? "%s (%s)" : "%s", told->storage, reason);
}

static void fill_before(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct table *table = rows;
    snprintf(cell->text, sizeof cell->text, "%zu", table->told[row].bytes_before);
}

static void fill_after(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct table *table = rows;
    snprintf(cell->text, sizeof cell->text, "%zu", table->told[row].bytes_after);
}

static void fill_decibels(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct table *table = rows;
    i4q_cell_decibels(table->told[row].sqnr_db, cell);
}

static const struct i4q_column table_columns[] = {
    {"conv", false, 0, fill_name},          {"shape", false, 2, fill_shape},
    {"weights", true, 4, fill_weights},     {"stored as", false, 0, fill_stored},
    {"bytes before", true, 3, fill_before}, {"after", true, 1, fill_after},
    {"SQNR dB", true, 0, fill_decibels},
};

static void print_table(const struct i4q_report *report, FILE *stream)
{
    const struct i4q_plan *plan = report->plan;
    struct i4q_told *told = i4q_arena_alloc(&plan->facts->model->arena, plan->n_rows, sizeof *told);
    for (size_t i = 0; told && i < plan->n_rows; i++)
        told[i] = i4q_tell(plan, &plan->rows[i]);
    const struct table table = {plan, told};
    const struct i4q_sheet sheet = {.columns = table_columns,
                                    .n_columns = sizeof table_columns / sizeof *table_columns,
                                    .rows = &table,
                                    .n_rows = told ? plan->n_rows : 0};
    i4q_sheet_print(&sheet, &report->look, stream);
    fputc('\n', stream);
}

/* ---- stages and errors */

static void summarize(const struct i4q_plan *plan, struct i4q_summary *summary)
{
    i4q_summary_begin(summary, plan->facts->convs, plan->n_rows);
    for (size_t i = 0; i < plan->n_rows; i++) {
        struct i4q_told told = i4q_tell(plan, &plan->rows[i]);
        const struct i4q_summed summed = {
            .storage = told.storage,
            .weights = told.before.count,
            .bytes_before = told.bytes_before,
            .bytes = told.bytes_after,
            .sqnr_db = told.sqnr_db,
        };
        i4q_summary_add(summary, plan->rows[i].conv, &summed);
    }
}

static void print_average(const struct i4q_plan *plan, FILE *stream)
{
    struct i4q_average average = i4q_average_error(plan);
    if (isfinite(average.weights_db))
        fprintf(stream, "error      weights %.1f dB on average", average.weights_db);
    if (isfinite(average.outputs_db))
        fprintf(stream, ", outputs of their Convs %.1f dB (estimated from the statistics)",
                average.outputs_db);
    if (isfinite(average.weights_db))
        fputc('\n', stream);
}

void i4q_report_rows(const struct i4q_report *report, FILE *stream)
{
    struct i4q_summary summary;
    if (report->table) {
        print_table(report, stream);
    } else {
        summarize(report->plan, &summary);
        i4q_summary_stages(&summary, true, true, &report->look, stream);
    }
}

void i4q_report_errors(const struct i4q_report *report, FILE *stream)
{
    struct i4q_summary summary;
    print_average(report->plan, stream);
    if (report->table)
        return;
    summarize(report->plan, &summary);
    i4q_summary_worst(&summary, &report->look, stream);
}

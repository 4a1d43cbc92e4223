// SPDX-License-Identifier: Apache-2.0
#include "report/summary.h"

#include "base/elementary.h"

#include <math.h>
#include <string.h>

static const double LN_10 = 0x1.26bb1bbb55516p+1;

void i4q_summary_begin(struct i4q_summary *summary, const struct i4q_conv *convs, size_t count)
{
    *summary = (struct i4q_summary){.n_worst = 0};
    i4q_stages_find(convs, count, &summary->stages);
}

/* Behind those that are as bad. */
static void rank(struct i4q_summary *summary, const struct i4q_conv *conv, double sqnr_db)
{
    size_t at = summary->n_worst;
    while (at && sqnr_db < summary->worst[at - 1].sqnr_db)
        at--;
    if (at == I4Q_SUMMARY_WORST)
        return;
    summary->n_worst += summary->n_worst < I4Q_SUMMARY_WORST;
    memmove(summary->worst + at + 1, summary->worst + at,
            (summary->n_worst - 1 - at) * sizeof *summary->worst);
    summary->worst[at].conv = conv;
    summary->worst[at].sqnr_db = sqnr_db;
}

void i4q_summary_add(struct i4q_summary *summary, const struct i4q_conv *conv,
                     const struct i4q_summed *summed)
{
    if (isfinite(summed->sqnr_db))
        rank(summary, conv, summed->sqnr_db);
    if (!summary->stages.count)
        return;
    struct i4q_stage_sum *sum = &summary->sums[i4q_stage_of(&summary->stages, conv)];
    sum->convs++;
    sum->weights += summed->weights;
    sum->bytes_before += summed->bytes_before;
    sum->bytes += summed->bytes;
    i4q_kinds_add(&sum->kinds, summed->storage);
    if (isfinite(summed->sqnr_db)) {
        sum->noise += i4q_exp(-summed->sqnr_db / 10 * LN_10);
        sum->measured++;
    }
}

/* ---- the table of stages */

static const struct i4q_stage_sum *sum_of(const void *rows, size_t row)
{
    return &((const struct i4q_summary *)rows)->sums[row];
}

static void fill_stage(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct i4q_stage *stage = &((const struct i4q_summary *)rows)->stages.items[row];
    snprintf(cell->text, sizeof cell->text, "%.*s", (int)stage->length, stage->path);
    i4q_mask_control(cell->text);
}

static void fill_convs(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%zu", sum_of(rows, row)->convs);
}

static void fill_weights(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%zu", sum_of(rows, row)->weights);
}

static void fill_kinds(const void *rows, size_t row, struct i4q_cell *cell)
{
    i4q_kinds_text(&sum_of(rows, row)->kinds, false, cell->text);
}

static void fill_before(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%zu", sum_of(rows, row)->bytes_before);
}

static void fill_bytes(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%zu", sum_of(rows, row)->bytes);
}

static void fill_decibels(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct i4q_stage_sum *sum = sum_of(rows, row);
    i4q_cell_decibels(sum->measured ? -10 * i4q_log10(sum->noise / (double)sum->measured) : NAN, cell);
}

void i4q_summary_stages(const struct i4q_summary *summary, bool before, bool decibels,
                        const struct i4q_look *look, FILE *stream)
{
    struct i4q_column columns[] = {
        {"stage", false, 0, fill_stage},        {"convs", true, 0, fill_convs},
        {"weights", true, 2, fill_weights},     {"stored as", false, 0, fill_kinds},
        {"bytes before", true, 1, fill_before}, {before ? "after" : "bytes", true, 0, fill_bytes},
        {"SQNR dB", true, 0, fill_decibels},
    };
    size_t count = sizeof columns / sizeof *columns - !decibels;
    if (!before) {
        memmove(columns + 4, columns + 5, 2 * sizeof *columns);
        count--;
    }
    const struct i4q_sheet sheet = {columns, count, summary, summary->stages.count, NULL};
    if (!summary->stages.count)
        return;
    i4q_sheet_print(&sheet, look, stream);
    fputc('\n', stream);
}

/* ---- the worst */

/* "lowest      12.05 dB  " */
enum { WORST_DECIBELS = 6, WORST_NAME = 10 + WORST_DECIBELS + 5 };

void i4q_summary_worst(const struct i4q_summary *summary, const struct i4q_look *look, FILE *stream)
{
    size_t room = look->width > WORST_NAME + 8 ? look->width - WORST_NAME : I4Q_TEXT_NAME;
    for (size_t i = 0; i < summary->n_worst; i++) {
        char name[I4Q_TEXT_NAME];
        struct i4q_cell cell = {.text = ""};
        i4q_text_name(summary->worst[i].conv, name);
        i4q_cut_middle(name, room);
        i4q_cell_decibels(summary->worst[i].sqnr_db, &cell);
        fprintf(stream, i ? "          " : "lowest    ");
        fprintf(stream, "%*s", WORST_DECIBELS - (int)strlen(cell.text), "");
        i4q_print_tone(cell.text, cell.tone, look, stream);
        fprintf(stream, " dB  %s\n", name);
    }
}

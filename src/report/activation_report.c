// SPDX-License-Identifier: Apache-2.0
#include "report/activation_report.h"

#include "base/json.h"
#include "report/columns.h"

#include <math.h>
#include <string.h>

enum { MOST_BITS = 16, NUMBER = 32 };

static size_t count_of(const struct i4q_activation_pair *pair)
{
    return pair->channels ? pair->channels : 1;
}

/* ---- text */

/* "0.0235", or "0.01 .. 0.4" of channels that differ; "-" where there is nothing sound. */
static const char *print_range(const struct i4q_activation_pair *pair, const struct i4q_numbers *numbers,
                               char buffer[static 2 * NUMBER])
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; !pair->flaw && i < count_of(pair); i++) {
        low = fmin(low, i4q_activation_number(numbers, i));
        high = fmax(high, i4q_activation_number(numbers, i));
    }
    if (pair->flaw)
        snprintf(buffer, 2 * NUMBER, "-");
    else if (low < high)
        snprintf(buffer, 2 * NUMBER, "%.3g .. %.3g", low, high);
    else
        snprintf(buffer, 2 * NUMBER, "%.3g", low);
    return buffer;
}

static const struct i4q_activation_pair *pair_of(const void *rows, size_t row)
{
    return &((const struct i4q_activation_pair *)rows)[row];
}

static void fill_name(const void *rows, size_t row, struct i4q_cell *cell)
{
    i4q_text_mask(pair_of(rows, row)->tensor->name, cell->text);
}

static void fill_bits(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%u", pair_of(rows, row)->bits);
}

static void fill_codes(const void *rows, size_t row, struct i4q_cell *cell)
{
    snprintf(cell->text, sizeof cell->text, "%s", pair_of(rows, row)->codes->name);
}

static void fill_channels(const void *rows, size_t row, struct i4q_cell *cell)
{
    size_t channels = pair_of(rows, row)->channels;
    snprintf(cell->text, sizeof cell->text, channels ? "%zu" : "-", channels);
}

static void fill_scale(const void *rows, size_t row, struct i4q_cell *cell)
{
    print_range(pair_of(rows, row), &pair_of(rows, row)->scale, cell->text);
}

static void fill_zero_point(const void *rows, size_t row, struct i4q_cell *cell)
{
    const struct i4q_activation_pair *pair = pair_of(rows, row);
    char decoded[2 * NUMBER];
    print_range(pair, &pair->zero_point, cell->text);
    size_t used = strlen(cell->text);
    if (!pair->flaw && !i4q_activation_is_plain(pair))
        snprintf(cell->text + used, sizeof cell->text - used, ", decoded by %s",
                 print_range(pair, &pair->decoded_scale, decoded));
}

static const struct i4q_column columns[] = {
    {"activation", false, 0, fill_name}, {"bits", true, 0, fill_bits},
    {"codes", false, 2, fill_codes},     {"channels", false, 3, fill_channels},
    {"scale", false, 0, fill_scale},     {"zero point", false, 1, fill_zero_point},
};

void i4q_activation_table(const struct i4q_activation_pair *pairs, size_t count, const struct i4q_look *look,
                          FILE *stream)
{
    const struct i4q_sheet sheet = {columns, sizeof columns / sizeof *columns, pairs, count, NULL};
    if (!count)
        return;
    i4q_sheet_print(&sheet, look, stream);
    fputc('\n', stream);
}

void i4q_activation_totals(const struct i4q_activation_pair *pairs, size_t count, FILE *stream)
{
    size_t totals[MOST_BITS + 1] = {0};
    const char *separator = "activations";
    for (size_t i = 0; i < count; i++)
        totals[pairs[i].bits]++;
    for (size_t bits = 0; bits <= MOST_BITS; bits++)
        if (totals[bits]) {
            fprintf(stream, "%s %zu of %zu bits", separator, totals[bits], bits);
            separator = ",";
        }
    if (count)
        fputc('\n', stream);
}

/* ---- JSON */

static json_t *number_json(const struct i4q_numbers *numbers, size_t channel)
{
    double number = i4q_activation_number(numbers, channel);
    return numbers->type && i4q_numbers_are_floats(numbers) ? i4q_json_real(number)
                                                            : json_integer((json_int_t)number);
}

/* One number, or a list of one a channel; null where there is nothing sound. */
static json_t *numbers_json(const struct i4q_activation_pair *pair, const struct i4q_numbers *numbers)
{
    if (pair->flaw)
        return json_null();
    if (!pair->channels)
        return number_json(numbers, 0);
    json_t *list = json_array();
    for (size_t i = 0; i < pair->channels; i++)
        i4q_json_add(&list, number_json(numbers, i));
    return list;
}

static json_t *pair_json(const struct i4q_activation_pair *pair)
{
    bool plain = pair->flaw || i4q_activation_is_plain(pair);
    json_t *json = json_object();
    i4q_json_put(&json, "tensor", i4q_json_text(pair->tensor->name));
    i4q_json_put(&json, "bits", json_integer(pair->bits));
    i4q_json_put(&json, "codes", i4q_json_text(pair->codes->word ? pair->codes->word : pair->codes->name));
    i4q_json_put(&json, "low", json_integer(pair->low));
    i4q_json_put(&json, "high", json_integer(pair->high));
    i4q_json_put(&json, "channels", pair->channels ? i4q_json_size(pair->channels) : json_null());
    i4q_json_put(&json, "scale", numbers_json(pair, &pair->scale));
    i4q_json_put(&json, "zero_point", numbers_json(pair, &pair->zero_point));
    i4q_json_put(&json, "decoded_scale", plain ? json_null() : numbers_json(pair, &pair->decoded_scale));
    i4q_json_put(&json, "range", json_null());
    return json;
}

json_t *i4q_activations_json(const struct i4q_activation_pair *pairs, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        i4q_json_add(&list, pair_json(&pairs[i]));
    return list;
}

// SPDX-License-Identifier: Apache-2.0
#include "report/activation_report.h"

#include "base/json.h"
#include "report/text.h"

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

static int name_width(const struct i4q_activation_pair *pairs, size_t count)
{
    size_t width = I4Q_TEXT_MIN_NAME + strlen("activation") - strlen("name");
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(pairs[i].tensor->name);
        width = length > width ? length : width;
    }
    return width < I4Q_TEXT_MAX_NAME ? (int)width : I4Q_TEXT_MAX_NAME;
}

void i4q_activation_table(const struct i4q_activation_pair *pairs, size_t count, FILE *stream)
{
    int width = name_width(pairs, count);
    char name[I4Q_TEXT_NAME], channels[NUMBER], scale[2 * NUMBER], decoded[2 * NUMBER], zero[2 * NUMBER];
    if (count)
        fprintf(stream, "\n%-*s  bits  %-7s  %-8s  %-20s  %s\n", width, "activation", "codes", "channels",
                "scale", "zero point");
    for (size_t i = 0; i < count; i++) {
        const struct i4q_activation_pair *pair = &pairs[i];
        snprintf(channels, sizeof channels, pair->channels ? "%zu" : "-", pair->channels);
        fprintf(stream, "%-*s  %4u  %-7s  %-8s  %-20s  %s", width, i4q_text_mask(pair->tensor->name, name),
                pair->bits, pair->codes->name, channels, print_range(pair, &pair->scale, scale),
                print_range(pair, &pair->zero_point, zero));
        if (!pair->flaw && !i4q_activation_is_plain(pair))
            fprintf(stream, ", decoded by %s", print_range(pair, &pair->decoded_scale, decoded));
        fputc('\n', stream);
    }
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

// SPDX-License-Identifier: Apache-2.0
#include "quantize/range.h"

#include "base/elementary.h"
#include "base/half.h"
#include "quantize/scale_search.h"

#include <math.h>
#include <stdlib.h>

enum {
    BINS = 2048,        /* of all channels together */
    TILE = 256,         /* errors that are added up before the sum is looked at */
    STEPS = 100,        /* scales that are tried for a tensor */
    LAST = 2,           /* the smallest of them, in hundredths */
    CHANNEL_STEPS = 40, /* for a channel */
    CHANNEL_BITS = 4,
    MOST_BITS = 8,
    FEW_BITS = 4,        /* up to here every zero point is tried */
    FRACTIONS = 10,      /* of the least value, at which zero points of more bits are tried */
    FIRST_MAXIMUM = 128, /* of BINS, that the rule `unilateral` tries */
};

static const double CUT = 0.00005, LARGEST_FACTOR = 16, BEYOND = 1.1, HALF_SMALLEST = 0x1p-24;
static const double LN_10 = 0x1.26bb1bbb55516p+1;

const struct i4q_levels i4q_levels[] = {
    {"uint8", 8, false}, {"int8", 8, true}, {"uint6", 6, false}, {"uint5", 5, false},
    {"uint4", 4, false}, {"int4", 4, true}, {.name = NULL},
};

const char *i4q_levels_word(size_t index)
{
    return index < sizeof i4q_levels / sizeof *i4q_levels ? i4q_levels[index].name : NULL;
}

/* ---- values that are quantized together */

/* They are in increasing order, none with the count 0. */
struct spread {
    double low, high; /* of all values, and of 0 */
    double width;     /* of the bins that they are the middles of */
    double *value, *count;
    size_t n;
    const struct i4q_range_choice *choice; /* where errors count behind something; NULL: as they are */
    double *behind;                        /* and what the values are there */
};

static bool open_spread(struct spread *spread, size_t most)
{
    *spread = (struct spread){.value = calloc(3 * most, sizeof *spread->value)};
    spread->count = spread->value + most;
    spread->behind = spread->count + most;
    return spread->value != NULL;
}

static void close_spread(struct spread *spread)
{
    free(spread->value);
}

static void drop_empty(struct spread *spread, double first, size_t bins)
{
    for (size_t i = 0; i < bins; i++)
        if (spread->count[i] > 0) {
            spread->value[spread->n] = first + ((double)i + 0.5) * spread->width;
            spread->count[spread->n++] = spread->count[i];
        }
}

static void gather_channel(struct spread *spread, const struct i4q_histogram *histogram, size_t channel)
{
    double low = i4q_histogram_low(histogram, channel), high = i4q_histogram_high(histogram, channel);
    spread->low = fmin(low, 0);
    spread->high = fmax(high, 0);
    spread->n = 0;
    for (size_t i = 0; i < histogram->bins; i++)
        if (i4q_histogram_count(histogram, channel, i) > 0) {
            spread->value[spread->n] = i4q_histogram_value(histogram, channel, i);
            spread->count[spread->n++] = i4q_histogram_count(histogram, channel, i);
        }
}

static double divided(double value, const float *factors, size_t channel)
{
    return factors ? value / (double)factors[channel] : value;
}

/* What each bin of a channel counts goes to the bin of all that its middle lies in. */
static void gather_all(struct spread *spread, const struct i4q_histogram *histogram, const float *factors)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t c = 0; c < histogram->channels; c++) {
        low = fmin(low, divided(i4q_histogram_low(histogram, c), factors, c));
        high = fmax(high, divided(i4q_histogram_high(histogram, c), factors, c));
    }
    double span = high - low;
    for (size_t c = 0; c < histogram->channels; c++)
        for (size_t i = 0; i < histogram->bins; i++) {
            double place = divided(i4q_histogram_value(histogram, c, i), factors, c) - low;
            size_t bin = span > 0 && place > 0 ? (size_t)(place / span * (double)BINS) : 0;
            spread->count[bin < BINS ? bin : BINS - 1] += i4q_histogram_count(histogram, c, i);
        }
    spread->low = fmin(low, 0);
    spread->high = fmax(high, 0);
    spread->width = span / (double)BINS;
    drop_empty(spread, low, BINS);
}

static void look_behind(struct spread *spread, const struct i4q_range_choice *choice)
{
    spread->choice = choice->behind ? choice : NULL;
    for (size_t i = 0; spread->choice && i < spread->n; i++)
        spread->behind[i] = choice->behind(spread->value[i], choice->parameter);
}

/* ---- errors */

/* To the next integer, of two as near to the even one; |x| < 2^51. */
static double nearest(double x)
{
    const double shift = 0x1.8p52;
    return x + shift - shift;
}

static double top_of(const struct i4q_range *range)
{
    return (double)((1u << range->bits) - 1);
}

static double decoded(const struct i4q_range *range, double value)
{
    double scale = (double)range->scale, low = -(double)range->zero, high = top_of(range) + low;
    double code = nearest(value / scale);
    code = code < low ? low : code;
    return (code > high ? high : code) * scale;
}

/* What each code stands for behind what the values go through. */
static void find_levels(const struct spread *spread, const struct i4q_range *range, double *levels)
{
    const struct i4q_range_choice *choice = spread->choice;
    for (int code = 0; choice && code <= (int)top_of(range); code++)
        levels[code] = choice->behind((double)(code - range->zero) * (double)range->scale, choice->parameter);
}

static double error_at(const struct spread *spread, const struct i4q_range *range, const double *levels,
                       size_t i)
{
    double near = decoded(range, spread->value[i]);
    return spread->choice
               ? levels[(int)nearest(near / (double)range->scale) + range->zero] - spread->behind[i]
               : near - spread->value[i];
}

/* Of n values from `start` on. */
static double tile_loss(const struct spread *spread, const struct i4q_range *range, const double *levels,
                        size_t start, size_t n, bool is_square)
{
    const double *count = spread->count + start;
    double powers[TILE], sum = 0;
    for (size_t i = 0; i < n; i++) {
        double error = error_at(spread, range, levels, start + i);
        powers[i] = error * error;
    }
    for (size_t i = 0; !is_square && i < n; i++)
        powers[i] = i4q_fit_power_2_4(powers[i]);
    for (size_t i = 0; i < n; i++)
        sum += count[i] * powers[i];
    return sum;
}

/* The sum over the values from `first` on, or something above `limit` if that is. */
static double loss_of(const struct spread *spread, size_t first, const struct i4q_range *range,
                      bool is_square, double limit)
{
    double sum = 0, levels[1 << MOST_BITS];
    find_levels(spread, range, levels);
    for (size_t i = first; i < spread->n && sum <= limit; i += TILE)
        sum += tile_loss(spread, range, levels, i, spread->n - i < TILE ? spread->n - i : TILE, is_square);
    return sum;
}

/* ---- ranges */

/* A scale that can be divided by, in the type in which it is stored. */
static float sound_scale(double scale, bool half)
{
    float rounded = (float)scale;
    if (half)
        rounded = i4q_half_to_float(i4q_half_from_float(rounded));
    return rounded > 0 ? rounded : scale > 0 && half ? (float)HALF_SMALLEST : 1;
}

static int zero_point(double low, double scale, double top)
{
    double zero = nearest(fmin(-low / scale, top));
    return (int)zero;
}

/* The range from `low` <= 0 to `high` >= 0. */
static struct i4q_range range_of(double low, double high, const struct i4q_range_choice *choice)
{
    struct i4q_range range = {.bits = choice->bits};
    double top = top_of(&range);
    range.scale = sound_scale((high - low) / top, choice->half);
    range.zero = zero_point(low, (double)range.scale, top);
    return range;
}

/* A search for the least loss. */
struct search {
    const struct spread *spread;
    bool is_square;
    struct i4q_range best;
    double loss;
};

static void try(struct search *search, size_t first, const struct i4q_range *range)
{
    double loss = loss_of(search->spread, first, range, search->is_square, search->loss);
    if (loss < search->loss) {
        search->loss = loss;
        search->best = *range;
    }
}

/* The zero points that go with a scale, from the least on. */
static void try_zeros(struct search *search, struct i4q_range *range)
{
    const struct spread *spread = search->spread;
    double scale = (double)range->scale, top = top_of(range), steps = fmin(-spread->low / scale, top);
    bool each = range->bits <= FEW_BITS;
    int last = each ? (int)ceil(steps) : FRACTIONS, tried = -1;
    for (int i = 0; i <= last; i++) {
        range->zero = each ? i : zero_point(spread->low * i / (double)FRACTIONS, scale, top);
        bool beyond = spread->high > 0 && (top - range->zero) * scale > BEYOND * spread->high + scale;
        if (!beyond && range->zero != tried)
            try(search, 0, range);
        tried = range->zero;
    }
}

/* Scales of 100 percent of what takes in all values, and less; of equal losses the larger one. */
static struct i4q_range search_both(const struct spread *spread, bool is_square, int steps,
                                    const struct i4q_range_choice *choice)
{
    struct search search = {spread, is_square, range_of(spread->low, spread->high, choice), INFINITY};
    double full = (spread->high - spread->low) / top_of(&search.best);
    for (int i = steps; i * STEPS >= LAST * steps && full > 0; i--) {
        struct i4q_range range = {.scale = sound_scale(full * i / steps, choice->half), .bits = choice->bits};
        try_zeros(&search, &range);
    }
    return search.best;
}

static struct i4q_range search_maximum(const struct spread *spread, const struct i4q_range_choice *choice)
{
    struct search search = {spread, true, range_of(spread->low, spread->high, choice), INFINITY};
    size_t first = 0;
    while (first < spread->n && spread->value[first] < 0)
        first++;
    for (int i = FIRST_MAXIMUM; i < BINS && spread->high > 0; i++) {
        struct i4q_range range = range_of(spread->low, spread->high * (i + 0.5) / (double)BINS, choice);
        try(&search, first, &range);
    }
    return search.best;
}

/* Without the bins at either end that together hold no more than a part of all values. */
static struct i4q_range cut_ends(const struct spread *spread, const struct i4q_range_choice *choice)
{
    double total = 0, cut = 0;
    size_t first = 0, last = spread->n - 1;
    for (size_t i = 0; i < spread->n; i++)
        total += spread->count[i];
    while ((cut += spread->count[first]) <= CUT * total)
        first++;
    for (cut = 0; (cut += spread->count[last]) <= CUT * total;)
        last--;
    return range_of(fmin(spread->value[first] - spread->width / 2, 0),
                    fmax(spread->value[last] + spread->width / 2, 0), choice);
}

static struct i4q_range take_all(const struct spread *spread, const struct i4q_range_choice *choice)
{
    return range_of(spread->low, spread->high, choice);
}

static struct i4q_range search_l24(const struct spread *spread, const struct i4q_range_choice *choice)
{
    return search_both(spread, false, STEPS, choice);
}

static struct i4q_range search_mse(const struct spread *spread, const struct i4q_range_choice *choice)
{
    return search_both(spread, true, STEPS, choice);
}

static const struct rule {
    const char *word;
    struct i4q_range (*find)(const struct spread *spread, const struct i4q_range_choice *choice);
} rules[] = {
    [I4Q_RANGE_L24] = {"l2.4", search_l24},
    [I4Q_RANGE_MSE] = {"mse", search_mse},
    [I4Q_RANGE_MINMAX] = {"minmax", take_all},
    [I4Q_RANGE_PERCENTILE] = {"percentile", cut_ends},
    [I4Q_RANGE_UNILATERAL] = {"unilateral", search_maximum},
};

const char *i4q_range_word(size_t index)
{
    return index < sizeof rules / sizeof *rules ? rules[index].word : NULL;
}

bool i4q_range_find(const struct i4q_histogram *histogram, const float *factors,
                    const struct i4q_range_choice *choice, struct i4q_range *range)
{
    struct spread spread;
    if (!open_spread(&spread, BINS))
        return false;
    gather_all(&spread, histogram, factors);
    look_behind(&spread, choice);
    *range = (spread.n ? rules[choice->rule].find : take_all)(&spread, choice);
    close_spread(&spread);
    return true;
}

/* ---- channels */

/* Turns scales, 0 where a channel is all zeros, into factors. */
static void scales_to_factors(float *scales, size_t n, unsigned roots)
{
    double sum = 0, counted = 0;
    for (size_t i = 0; i < n; i++)
        if (scales[i] > 0) {
            sum += i4q_log10((double)scales[i]);
            counted++;
        }
    double mean = counted > 0 ? i4q_exp(sum / counted * LN_10) : 1;
    for (size_t i = 0; i < n; i++) {
        double ratio = scales[i] > 0 ? (double)scales[i] / mean : 1;
        ratio = fmin(fmax(ratio, 1 / LARGEST_FACTOR), LARGEST_FACTOR);
        for (unsigned k = 0; k < roots; k++)
            ratio = sqrt(ratio);
        scales[i] = (float)ratio;
    }
}

bool i4q_range_factors(const struct i4q_histogram *histogram, unsigned roots, float *factors)
{
    const struct i4q_range_choice choice = {.bits = CHANNEL_BITS};
    struct spread spread;
    if (!open_spread(&spread, histogram->bins))
        return false;
    for (size_t c = 0; c < histogram->channels; c++) {
        gather_channel(&spread, histogram, c);
        bool zeros = !spread.n || spread.low == spread.high;
        factors[c] = zeros ? 0 : search_both(&spread, true, CHANNEL_STEPS, &choice).scale;
    }
    close_spread(&spread);
    scales_to_factors(factors, histogram->channels, roots);
    return true;
}

/* The mean of a channel that counts anything. */
static double mean_of(const struct i4q_histogram *histogram, const float *factors, size_t channel)
{
    double count = 0, sum = 0;
    for (size_t i = 0; i < histogram->bins; i++) {
        count += i4q_histogram_count(histogram, channel, i);
        sum += i4q_histogram_count(histogram, channel, i) *
               divided(i4q_histogram_value(histogram, channel, i), factors, channel);
    }
    return count > 0 ? sum / count : 0;
}

/* Sums over the values of a channel. */
struct sums {
    double count, spread, shift, noise;
};

static struct sums sum_channel(const struct i4q_histogram *histogram, const float *factors, size_t channel,
                               const struct i4q_range *range)
{
    struct sums sums = {0};
    double mean = mean_of(histogram, factors, channel);
    for (size_t i = 0; i < histogram->bins; i++) {
        double count = i4q_histogram_count(histogram, channel, i);
        double value = divided(i4q_histogram_value(histogram, channel, i), factors, channel);
        double error = decoded(range, value) - value;
        sums.count += count;
        sums.spread += count * ((value - mean) * (value - mean));
        sums.shift += count * error;
        sums.noise += count * (error * error);
    }
    return sums;
}

double i4q_range_shift(const struct i4q_histogram *histogram, const float *factors, size_t channel,
                       const struct i4q_range *range)
{
    struct sums sums = sum_channel(histogram, factors, channel, range);
    return sums.count > 0 ? sums.shift / sums.count : 0;
}

double i4q_range_share(const struct i4q_histogram *histogram, const float *factors,
                       const struct i4q_range *range)
{
    double ratios = 0;
    for (size_t c = 0; c < histogram->channels; c++) {
        struct sums sums = sum_channel(histogram, factors, c, range);
        ratios += sums.spread > 0 ? fmin(sums.noise / sums.spread, 1) : 0;
    }
    return ratios / (double)histogram->channels;
}

double i4q_range_loss(const struct i4q_histogram *histogram, const float *factors,
                      const struct i4q_range *range)
{
    double values = 0;
    for (size_t c = 0; c < histogram->channels; c++)
        values += sum_channel(histogram, factors, c, range).count;
    return sqrt(values / (double)histogram->channels) * i4q_range_share(histogram, factors, range);
}

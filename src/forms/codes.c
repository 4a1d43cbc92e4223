// SPDX-License-Identifier: Apache-2.0
#include "forms/codes.h"

#include "base/half.h"

#include <math.h>

/* ---- one element */

/* The number at index `channel`, or the only one. */
static float parameter_at(const struct i4q_parameter *parameter, size_t channel, float otherwise)
{
    if (!parameter->proto)
        return otherwise;
    return (float)i4q_number(&parameter->numbers, parameter->numbers.count == 1 ? 0 : channel);
}

/* What elements of one channel have in common. */
struct channel {
    float code_scale, code_zero, scale, zero;
};

static struct channel channel_at(const struct i4q_origin *origin, size_t channel)
{
    return (struct channel){
        .code_scale = parameter_at(&origin->code_scale, channel, 1),
        .code_zero = parameter_at(&origin->code_zero, channel, 0),
        .scale = parameter_at(&origin->scale, channel, 1),
        .zero = parameter_at(&origin->zero, channel, 0),
    };
}

/* NaN where there is none. */
static float code_of(const struct i4q_origin *origin, const struct channel *channel, size_t i)
{
    float code = (float)i4q_number(&origin->elements, i);
    if (origin->coding == I4Q_CODING_QUANT)
        return i4q_quant_code(&origin->quant, code, channel->code_scale, channel->code_zero);
    if (origin->coding == I4Q_CODING_QUANTIZE_LINEAR)
        code = rintf(code / channel->code_scale) + channel->code_zero;
    return code > origin->high ? origin->high : code < origin->low ? origin->low : code;
}

static size_t inner_of(const struct i4q_origin *origin)
{
    size_t inner = 1;
    for (size_t i = origin->axis + 1; i < origin->tensor.rank; i++)
        inner *= (size_t)origin->tensor.dims[i];
    return inner;
}

static size_t channel_of(const struct i4q_origin *origin, size_t inner, size_t i)
{
    return i / inner % (size_t)origin->tensor.dims[origin->axis];
}

/* Elements from i on, up to `end`, that are of one channel: where they stop. */
static size_t stop_of(const struct i4q_origin *origin, size_t i, size_t end, struct channel *channel)
{
    size_t inner = inner_of(origin), run = inner - i % inner;
    *channel = channel_at(origin, channel_of(origin, inner, i));
    return run < end - i ? i + run : end;
}

void i4q_origin_values(const struct i4q_origin *origin, size_t start, size_t n, float *values)
{
    struct channel channel;
    for (size_t i = start; i < start + n;)
        for (size_t stop = stop_of(origin, i, start + n, &channel); i < stop; i++)
            values[i - start] = i4q_quant_value(code_of(origin, &channel, i), channel.scale, channel.zero);
    if (origin->half)
        i4q_half_round(values, n);
}

void i4q_origin_codes(const struct i4q_origin *origin, size_t start, size_t n, int16_t *codes)
{
    struct channel channel;
    for (size_t i = start; i < start + n;)
        for (size_t stop = stop_of(origin, i, start + n, &channel); i < stop; i++) {
            float code = code_of(origin, &channel, i);
            codes[i - start] = (int16_t)(isnan(code) ? 0 : code);
        }
}

bool i4q_origin_is_signed(const struct i4q_origin *origin)
{
    return origin->coding == I4Q_CODING_QUANT ? origin->quant.is_signed : origin->low < 0;
}

unsigned i4q_origin_width(const struct i4q_origin *origin)
{
    return origin->bits + (origin->bits == 1 && i4q_origin_is_signed(origin));
}

/* ---- the format */

/* How far codes, codes without their zero point, and zero points reach. */
struct reach {
    float low[3], high[3];
    bool finite;
};

enum { AS_THEY_ARE, SHIFTED, ZEROS };

static void extend(struct reach *reach, int which, float number)
{
    reach->low[which] = fminf(reach->low[which], number);
    reach->high[which] = fmaxf(reach->high[which], number);
}

static struct reach measure(const struct i4q_origin *origin)
{
    size_t inner = inner_of(origin), count = origin->tensor.count;
    struct reach reach = {{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}, true};
    for (size_t i = 0; i < count && reach.finite; i += inner) {
        struct channel channel = channel_at(origin, channel_of(origin, inner, i));
        extend(&reach, ZEROS, channel.zero);
        for (size_t k = i; k < i + inner; k++) {
            float code = code_of(origin, &channel, k);
            reach.finite &= isfinite(code) != 0;
            extend(&reach, AS_THEY_ARE, code);
            extend(&reach, SHIFTED, code - channel.zero);
        }
    }
    return reach;
}

static bool holds(const struct i4q_format *format, const struct reach *reach, int which)
{
    return reach->low[which] >= (float)format->code_min && reach->high[which] <= (float)format->code_max;
}

const struct i4q_format *i4q_import_format(size_t index)
{
    static const char *const names[] = {"int4", "uint4", "int8"};
    size_t count = sizeof names / sizeof *names;
    return index < count ? i4q_format_find(names[index]) : index == count ? &i4q_format_uint8 : NULL;
}

enum i4q_fault i4q_origin_choose(const struct i4q_origin *origin, struct i4q_storing *storing)
{
    static const struct {
        const char *format; /* NULL: uint8 */
        bool shifted;
    } ways[] = {{"int4", false}, {"int4", true},  {"uint4", false},
                {"int8", true},  {"int8", false}, {NULL, false}};
    const struct reach reach = measure(origin);
    *storing = (struct i4q_storing){0};
    for (size_t i = 0; reach.finite && i < sizeof ways / sizeof *ways; i++) {
        const struct i4q_format *format =
            ways[i].format ? i4q_format_find(ways[i].format) : &i4q_format_uint8;
        bool shifted = ways[i].shifted;
        if ((format->bits == 8 && origin->dialect == I4Q_DIALECT_INT8) ||
            !holds(format, &reach, shifted ? SHIFTED : AS_THEY_ARE) ||
            !(shifted || holds(format, &reach, ZEROS)))
            continue;
        float zero = (float)format->zero;
        bool symmetric = shifted || (reach.low[ZEROS] >= zero && reach.high[ZEROS] <= zero);
        *storing = (struct i4q_storing){format, shifted, !symmetric};
        return I4Q_FAULT_NONE;
    }
    return reach.finite ? I4Q_FAULT_ZERO_POINT : I4Q_FAULT_NON_FINITE;
}

/* ---- storing */

static void store_channel(const struct i4q_origin *origin, bool shifted, struct i4q_quantize_job *job,
                          size_t index)
{
    struct channel channel = channel_at(origin, index);
    i4q_real_store(job->scales, job->half, index, channel.scale);
    if (job->zero_points)
        i4q_format_store(job->format, job->zero_points, index, (int)channel.zero);
    for (size_t outer = 0; outer < job->outer; outer++)
        for (size_t k = 0; k < job->inner; k++) {
            size_t i = (outer * job->channels + index) * job->inner + k;
            float code = code_of(origin, &channel, i) - (shifted ? channel.zero : 0);
            i4q_format_store(job->format, job->codes, i, (int)code);
        }
}

void i4q_origin_store(const struct i4q_origin *origin, bool shifted, struct i4q_quantize_job *job)
{
    for (size_t i = 0; i < job->channels; i++)
        store_channel(origin, shifted, job, i);
    job->finite = true;
    job->sqnr_db = INFINITY;
    job->max_error = 0;
    job->drift = 0;
}

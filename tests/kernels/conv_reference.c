// SPDX-License-Identifier: Apache-2.0
/* The formulas of conv.h, as they stand there: no loop is shared with the code that they judge. */
#include "conv_checks.h"

#include <math.h>

static int code_at(const struct i4q_conv_weights *weights, const void *codes, size_t i)
{
    const uint8_t *bytes = codes;
    int code = 0, count = 1 << weights->bits;
    for (unsigned bit = 0; bit < weights->bits; bit++)
        code |= (bytes[(i * weights->bits + bit) / 8] >> (i * weights->bits + bit) % 8 & 1) << bit;
    return weights->is_signed && code >= count / 2 ? code - count : code;
}

struct reference {
    const struct conv_numbers *numbers;
    const struct i4q_conv_shape *shape;
    size_t weights, blocks, block;
};

/* The weight of output o, less its zero point, and the scale that goes with it. */
static int weight_at(const struct reference *r, size_t o, size_t k, double *scale)
{
    const struct i4q_conv_weights *weights = &r->numbers->spec.weights;
    size_t block = o * r->blocks + k / r->block;
    int zero = weights->zero_points ? code_at(weights, weights->zero_points, block) : 0;
    *scale = (double)weights->scales[block];
    return code_at(weights, weights->codes, o * r->weights + k) - zero;
}

/* One scale a channel, where there are blocks. */
static double channel_scale(const struct reference *r, size_t o)
{
    double scale, largest = 0;
    if (r->blocks == 1)
        return (double)r->numbers->spec.weights.scales[o];
    for (size_t k = 0; k < r->weights; k++) {
        int code = weight_at(r, o, k, &scale);
        largest = fmax(largest, (double)fabsf((float)code * (float)scale));
    }
    return (double)((float)largest / 127);
}

static double activate(const struct i4q_conv_activation *activation, double y)
{
    double sigmoid = 1 / (1 + exp(-y));
    switch (activation->function) {
    case I4Q_CONV_SILU:
        return y * sigmoid;
    case I4Q_CONV_RELU:
        return fmax(y, 0);
    case I4Q_CONV_LEAKY_RELU:
        return y < 0 ? (double)activation->alpha * y : y;
    case I4Q_CONV_HARD_SWISH:
        return y * fmax(0, fmin(1, y / 6 + 0.5));
    case I4Q_CONV_SIGMOID:
        return sigmoid;
    case I4Q_CONV_CLIP:
        return fmin(fmax(y, (double)activation->low), (double)activation->high);
    default:
        return y;
    }
}

struct grid {
    float scale, inverse;
    int zero;
};

/* In binary32, as it is defined. */
static struct grid find_grid(const struct i4q_conv_spec *spec, const float *x, size_t n)
{
    float low = 0, high = 0, scale = spec->input_scale;
    if (scale > 0)
        return (struct grid){scale, 1 / scale, spec->input_zero};
    for (size_t i = 0; i < n; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    scale = high > low ? (high - low) / 255 : 1;
    return (struct grid){scale, 1 / scale, (int)fminf(rintf(-low * (1 / scale)), 255)};
}

/* u - z. */
static int quantize(const struct grid *grid, float x)
{
    float steps = fminf(fmaxf(x * grid->inverse, (float)-grid->zero), (float)(255 - grid->zero));
    return (int)rintf(steps);
}

/* The element of X's channel that a tap of Y's pixel meets; NULL: padding. */
static const float *meet(const struct reference *r, const float *channel, size_t row, size_t column,
                         size_t tap)
{
    const struct i4q_conv_shape *s = r->shape;
    size_t down = row * s->strides[0] + tap / s->kernel[1] * s->dilations[0];
    size_t across = column * s->strides[1] + tap % s->kernel[1] * s->dilations[1];
    if (down < s->pads[0] || down - s->pads[0] >= r->numbers->input.height || across < s->pads[1] ||
        across - s->pads[1] >= r->numbers->input.width)
        return NULL;
    return channel + (down - s->pads[0]) * r->numbers->input.width + across - s->pads[1];
}

/* A pixel of output o before the bias, and the sum of the magnitudes that went into it. */
static double sum_pixel(const struct reference *r, const float *group, size_t o, size_t pixel[2],
                        const struct grid *grid, double *magnitude)
{
    size_t taps = r->shape->kernel[0] * r->shape->kernel[1];
    size_t pixels = r->numbers->input.height * r->numbers->input.width;
    double scale, floats = 0, channel = channel_scale(r, o);
    long long sum = 0;
    *magnitude = 0;
    for (size_t k = 0; k < r->weights; k++) {
        const float *x = meet(r, group + k / taps * pixels, pixel[0], pixel[1], k % taps);
        int code = weight_at(r, o, k, &scale);
        if (!x)
            continue;
        if (r->blocks > 1 && grid)
            code = (int)rintf((float)code * (float)scale / (float)channel);
        sum += grid ? code * quantize(grid, *x) : 0;
        floats += code * scale * (double)*x;
        *magnitude += fabs(code * scale * (double)*x);
    }
    if (!grid)
        return floats;
    *magnitude = fabs((double)sum * (double)grid->scale * channel);
    return (double)sum * (double)grid->scale * channel;
}

static void compute_output(const struct reference *r, const float *image, size_t o, const size_t out[2],
                           double *y, double *tolerance)
{
    const struct i4q_conv_spec *spec = &r->numbers->spec;
    size_t channels = r->shape->channels / r->shape->groups, each = r->shape->groups == r->shape->channels;
    size_t pixels = r->numbers->input.height * r->numbers->input.width;
    const float *group = image + o / (r->shape->outputs / r->shape->groups) * channels * pixels;
    struct grid grid = find_grid(spec, each ? group : image, (each ? 1 : r->shape->channels) * pixels);
    double bias = spec->weights.bias ? (double)spec->weights.bias[o] : 0, magnitude;
    double steps =
        spec->level == 4 ? 4 : (double)r->weights + 3; /* roundings of binary32, one after the other */
    for (size_t i = 0; i < out[0] * out[1]; i++) {
        size_t pixel[2] = {i / out[1], i % out[1]};
        double sum = sum_pixel(r, group, o, pixel, spec->level == 4 ? &grid : NULL, &magnitude);
        y[i] = activate(&spec->activation, sum + bias);
        tolerance[i] = 1e-7 * steps * (magnitude + fabs(bias)) + 2e-6 * fabs(y[i]) + 1e-30;
    }
}

void conv_reference(const struct conv_numbers *numbers, double *y, double *tolerance)
{
    const struct i4q_conv_shape *shape = &numbers->spec.shape;
    struct reference r = {numbers, shape,
                          shape->channels / shape->groups * shape->kernel[0] * shape->kernel[1]};
    size_t block = numbers->spec.weights.block_size,
           image = shape->channels * numbers->input.height * numbers->input.width;
    r.block = block && block < r.weights ? block : r.weights;
    r.blocks = (r.weights + r.block - 1) / r.block;
    for (size_t i = 0; i < numbers->input.images * shape->outputs; i++) {
        size_t pixels = numbers->out[0] * numbers->out[1], at = i * pixels;
        compute_output(&r, numbers->x + i / shape->outputs * image, i % shape->outputs, numbers->out, y + at,
                       tolerance + at);
    }
}

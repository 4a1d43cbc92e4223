// SPDX-License-Identifier: Apache-2.0
#include "conv_checks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- cases */

#define MAPS(c, m, h, w) .shape.channels = c, .shape.outputs = m, .height = h, .width = w
#define SAME3            .shape.kernel = {3, 3}, .shape.pads = {1, 1, 1, 1}
#define SAME(k)          .shape.kernel = {k, k}, .shape.pads = {k / 2, k / 2, k / 2, k / 2}
#define DEEP(c, h, w)    MAPS(c, c, h, w), .shape.groups = c
#define BY_TWO           .shape.strides = {2, 2}

static const struct conv_case listed[CONV_LISTED] = {
    {MAPS(64, 64, 20, 20)},
    {MAPS(13, 9, 5, 7)},
    {MAPS(7, 8, 1, 1)},
    {MAPS(3, 16, 33, 31), .shape.kernel = {3, 3}, .shape.strides = {2, 2}, .shape.pads = {1, 1, 1, 1}},
    {MAPS(32, 24, 20, 20), SAME3},
    {MAPS(16, 16, 41, 13), SAME3, .is_unsigned = true, .has_zero_points = true},
    {MAPS(20, 33, 14, 14), .shape.kernel = {3, 3}, .shape.strides = {2, 2}, .shape.pads = {1, 1, 1, 1}},
    {MAPS(9, 11, 17, 19), .shape.kernel = {5, 5}, .shape.pads = {2, 2, 2, 2}},
    {MAPS(9, 11, 17, 19), .shape.kernel = {5, 3}, .shape.strides = {3, 2}, .shape.pads = {0, 3, 4, 1}},
    {MAPS(5, 6, 19, 23), .shape.kernel = {3, 3}, .shape.dilations = {2, 3}, .shape.pads = {2, 3, 2, 3}},
    {MAPS(5, 6, 19, 23), .shape.kernel = {3, 3}, .shape.strides = {2, 3}, .shape.dilations = {2, 3}},
    {MAPS(6, 6, 9, 9), .shape.kernel = {1, 1}, .shape.strides = {2, 2}},
    {MAPS(6, 6, 4, 5), .shape.kernel = {1, 1}, .shape.strides = {3, 3}, .shape.pads = {1, 2, 2, 1}},
    {MAPS(4, 5, 1, 37), .shape.kernel = {1, 5}, .shape.pads = {0, 2, 0, 2}},
    {MAPS(4, 5, 37, 1), .shape.kernel = {5, 1}, .shape.pads = {2, 0, 2, 0}},
    {MAPS(24, 36, 11, 12), .shape.groups = 3, SAME3},
    {MAPS(24, 24, 11, 12), .shape.groups = 24, SAME3},
    {MAPS(10, 20, 8, 21), .shape.groups = 10, .shape.kernel = {5, 5}, .shape.strides = {2, 2},
     .shape.pads = {2, 2, 2, 2}},
    {MAPS(16, 8, 6, 6), .images = 3, SAME3},
    {MAPS(16, 8, 6, 6), .has_no_images = true, SAME3},
    {MAPS(16, 8, 0, 6), .shape.kernel = {1, 1}},
    {MAPS(4, 4, 1, 1), SAME3},
    {MAPS(4, 4, 2, 2), .shape.kernel = {3, 3}, .shape.pads = {9, 8, 7, 9}},
    {MAPS(400, 17, 3, 50), .bits = 8},
    {MAPS(70, 17, 9, 9), .bits = 8, .shape.kernel = {3, 3}, .is_unsigned = true, .has_zero_points = true},
    {MAPS(70, 17, 9, 9), .bits = 8, .shape.kernel = {3, 3}, .has_zero_points = true, .is_wide = true},
    {MAPS(600, 24, 4, 13), .is_unsigned = true, .is_wide = true},
    {MAPS(600, 24, 4, 13), .is_unsigned = true, .has_zero_points = true, .is_wide = true},
    {MAPS(64, 24, 7, 7), .block_size = 16, .shape.kernel = {3, 3}},
    {MAPS(64, 24, 7, 7), .block_size = 32},
    {MAPS(48, 48, 30, 30), .bits = 2},
    {MAPS(48, 48, 10, 10), .bits = 3, .shape.kernel = {3, 3}, .has_zero_points = true},
    {MAPS(48, 48, 10, 10), .bits = 5, .shape.kernel = {3, 3}},
    {MAPS(48, 48, 10, 10), .bits = 6, .shape.kernel = {3, 3}, .is_unsigned = true, .has_zero_points = true},
    {MAPS(48, 16, 40, 40), SAME3, .input_scale = 0.02f, .input_zero = 77},
    {DEEP(5, 20, 20), SAME(3)},
    {DEEP(5, 40, 41), SAME(3), BY_TWO},
    {DEEP(5, 20, 13), SAME(5), .is_unsigned = true, .has_zero_points = true},
    {DEEP(5, 21, 20), SAME(5), BY_TWO, .is_unsigned = true, .has_zero_points = true, .is_wide = true},
    {DEEP(5, 20, 20), SAME(7), .is_wide = true},
    {DEEP(5, 20, 23), SAME(7), BY_TWO},
    {DEEP(2, 90, 97), SAME(3)},
    {DEEP(2, 90, 97), SAME(3), BY_TWO},
    {DEEP(2, 1, 5000), .shape.kernel = {1, 3}, .shape.pads = {0, 1, 0, 1}},
    {DEEP(6, 3, 3), SAME(7), BY_TWO},
    {DEEP(6, 1, 1), SAME(3)},
    {DEEP(6, 9, 1), .shape.kernel = {4, 1}, .shape.strides = {3, 1}, .shape.pads = {2, 0, 1, 0}},
    {DEEP(6, 9, 10), .shape.kernel = {2, 4}, .shape.strides = {1, 2}, .shape.pads = {1, 2, 0, 1}},
    {DEEP(6, 9, 10), .shape.kernel = {1, 1}, .shape.strides = {4, 2}, .shape.pads = {1, 2, 1, 3}},
    {DEEP(6, 19, 23), .shape.kernel = {3, 3}, .shape.dilations = {2, 3}, .shape.pads = {2, 3, 2, 3}},
    {DEEP(6, 19, 23), SAME(3), BY_TWO, .shape.dilations = {2, 2}},
    {DEEP(6, 19, 23), SAME(3), .shape.strides = {2, 3}},
    {DEEP(6, 19, 23), SAME(3), .images = 2, .bits = 8},
    {DEEP(6, 19, 23), SAME(5), .bits = 8, .is_wide = true},
    {DEEP(6, 19, 23), SAME(5), BY_TWO, .bits = 8, .is_unsigned = true},
    {DEEP(6, 19, 23), SAME(5), .bits = 6, .is_unsigned = true, .has_zero_points = true},
    {DEEP(6, 19, 23), SAME(5), .block_size = 5},
    {DEEP(6, 19, 23), SAME(3), .input_scale = 0.02f, .input_zero = 77, .has_odd_numbers = true},
    {DEEP(6, 19, 23), SAME(3), BY_TWO, .has_odd_numbers = true},
    {MAPS(6, 18, 8, 21), .shape.groups = 6, SAME(3), .has_odd_numbers = true},
    {MAPS(12, 16, 9, 9), SAME3, .has_odd_numbers = true},
    {MAPS(12, 16, 90, 90), SAME3, .is_float = true},
    {MAPS(12, 16, 9, 9), .shape.kernel = {3, 3}, .is_float = true, .block_size = 16, .has_zero_points = true},
};

struct stream {
    uint32_t state;
};

/* xorshift32 (Marsaglia 2003): the same numbers on every machine. */
static uint32_t next(struct stream *stream)
{
    stream->state ^= stream->state << 13;
    stream->state ^= stream->state >> 17;
    stream->state ^= stream->state << 5;
    return stream->state;
}

static size_t below(struct stream *stream, size_t end)
{
    return next(stream) % end;
}

static bool once_in(struct stream *stream, size_t n)
{
    return below(stream, n) == 0;
}

static void random_axis(struct stream *stream, struct conv_case *conv, size_t axis, size_t *size)
{
    struct i4q_conv_shape *shape = &conv->shape;
    shape->kernel[axis] = 1 + (once_in(stream, 3) ? 0 : below(stream, 5));
    shape->strides[axis] = 1 + (once_in(stream, 2) ? 0 : below(stream, 3));
    shape->dilations[axis] = 1 + (once_in(stream, 2) ? 0 : below(stream, 3));
    shape->pads[axis] = once_in(stream, 3) ? 0 : below(stream, 5);
    shape->pads[axis + 2] = once_in(stream, 3) ? shape->pads[axis] : below(stream, 5);
    *size = (shape->kernel[axis] - 1) * shape->dilations[axis] + 1 + below(stream, 40);
}

/* Of small sizes, otherwise of any shape. */
static struct conv_case random_case(uint32_t seed)
{
    static const size_t blocks[] = {0, 0, 0, 0, 16, 32, 5};
    static const unsigned widths[] = {4, 4, 4, 8, 2, 3, 5, 6, 7};
    struct stream stream = {seed * 2654435761u | 1};
    struct conv_case conv = {.is_float = once_in(&stream, 8)};
    conv.shape.groups = once_in(&stream, 3) ? 1 + below(&stream, 6) : 1;
    conv.shape.channels =
        conv.shape.groups * (once_in(&stream, conv.shape.groups > 1 ? 2 : 4) ? 1 : 1 + below(&stream, 70));
    conv.shape.outputs = conv.shape.groups * (1 + below(&stream, 30));
    random_axis(&stream, &conv, 0, &conv.height);
    random_axis(&stream, &conv, 1, &conv.width);
    conv.images = 1 + once_in(&stream, 4);
    conv.bits = widths[below(&stream, sizeof widths / sizeof *widths)];
    conv.is_unsigned = once_in(&stream, 2);
    conv.has_zero_points = once_in(&stream, 2);
    conv.has_no_bias = once_in(&stream, 2);
    conv.is_wide = once_in(&stream, 3);
    conv.block_size = blocks[below(&stream, sizeof blocks / sizeof *blocks)];
    conv.activation.function = (enum i4q_conv_function)below(&stream, I4Q_CONV_FUNCTIONS);
    conv.input_scale = once_in(&stream, 5) ? 0.03f : 0;
    conv.input_zero = (uint8_t)below(&stream, 256);
    return conv;
}

static void set_default(size_t *value)
{
    *value += *value == 0;
}

struct conv_case conv_case_at(uint32_t index)
{
    struct conv_case conv = index < CONV_LISTED ? listed[index] : random_case(index);
    set_default(&conv.shape.groups);
    for (size_t axis = 0; axis < 2; axis++) {
        set_default(&conv.shape.kernel[axis]);
        set_default(&conv.shape.strides[axis]);
        set_default(&conv.shape.dilations[axis]);
    }
    conv.images = conv.has_no_images ? 0 : conv.images + !conv.images;
    conv.bits += conv.bits ? 0 : 4;
    if (index < CONV_LISTED)
        conv.activation.function = I4Q_CONV_SILU;
    conv.activation.alpha = 0.1f;
    conv.activation.high = 6;
    conv.seed = index;
    return conv;
}

void conv_describe(const struct conv_case *conv, char *text, size_t size)
{
    const struct i4q_conv_shape *s = &conv->shape;
    int n = snprintf(text, size, "case %u: %zu x %zu x %zu x %zu -> %zu in %zu groups, kernel %zu x %zu",
                     conv->seed, conv->images, s->channels, conv->height, conv->width, s->outputs, s->groups,
                     s->kernel[0], s->kernel[1]);
    snprintf(text + n, size - (size_t)n,
             ", strides %zu %zu, dilations %zu %zu, pads %zu %zu %zu %zu, %u bits, blocks of %zu",
             s->strides[0], s->strides[1], s->dilations[0], s->dilations[1], s->pads[0], s->pads[1],
             s->pads[2], s->pads[3], conv->bits, conv->block_size);
}

/* ---- numbers */

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* n codes: of the upper and lower eighth of what there is, where it is wide; else all of it, near its middle
 * more often. */
static void *make_codes(struct stream *stream, const struct conv_case *conv, size_t n)
{
    uint8_t *bytes = must(calloc(1, (n * conv->bits + 7) / 8 + !n));
    uint32_t count = 1u << conv->bits;
    for (size_t i = 0; i < n; i++) {
        uint32_t code = (uint32_t)(below(stream, count) + below(stream, count)) / 2;
        if (conv->is_wide)
            code = once_in(stream, 16) ? 0 : count - 1 - (uint32_t)below(stream, (count + 7) / 8);
        code ^= conv->is_unsigned ? 0 : count / 2;
        for (unsigned bit = 0; bit < conv->bits; bit++)
            bytes[(i * conv->bits + bit) / 8] |= (uint8_t)((code >> bit & 1) << (i * conv->bits + bit) % 8);
    }
    return bytes;
}

static float *make_floats(struct stream *stream, size_t n, float low, float high)
{
    float *x = must(malloc(n * sizeof *x + !n));
    for (size_t i = 0; i < n; i++)
        x[i] = low + (high - low) * (float)(next(stream) >> 8) * 0x1p-24f;
    return x;
}

/* What is no number, in the first of two channels. */
static void set_odd_numbers(const struct conv_case *conv, float *x)
{
    static const float odd[] = {NAN, INFINITY, -NAN, -INFINITY};
    size_t pixels = conv->height * conv->width;
    for (size_t c = 0; c < conv->images * conv->shape.channels; c += 2)
        x[c * pixels + c % pixels] = odd[c / 2 % 4];
}

static size_t size_out(const struct conv_case *conv, size_t axis)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    size_t size = (axis ? conv->width : conv->height) + shape->pads[axis] + shape->pads[axis + 2];
    size_t reach = (shape->kernel[axis] - 1) * shape->dilations[axis] + 1;
    return size < reach ? 0 : (size - reach) / shape->strides[axis] + 1;
}

struct conv_numbers conv_make(const struct conv_case *conv)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    struct stream stream = {conv->seed * 2246822519u + 374761393u};
    size_t weights = shape->channels / shape->groups * shape->kernel[0] * shape->kernel[1];
    size_t block = conv->block_size && conv->block_size < weights ? conv->block_size : weights;
    size_t scales = shape->outputs * ((weights + block - 1) / block);
    size_t inputs = conv->images * shape->channels * conv->height * conv->width;
    struct conv_numbers numbers = {
        .codes = make_codes(&stream, conv, shape->outputs * weights),
        .zero_points = conv->has_zero_points ? make_codes(&stream, conv, scales) : NULL,
        .scales = make_floats(&stream, scales, 0.001f, 0.02f),
        .bias = conv->has_no_bias ? NULL : make_floats(&stream, shape->outputs, -1, 1),
        .x = make_floats(&stream, inputs, -1.3f, 4.1f),
    };
    if (conv->has_odd_numbers)
        set_odd_numbers(conv, numbers.x);
    numbers.out[0] = size_out(conv, 0);
    numbers.out[1] = size_out(conv, 1);
    numbers.outputs = conv->images * shape->outputs * numbers.out[0] * numbers.out[1];
    numbers.input =
        (struct i4q_conv_input){numbers.x, conv->images, conv->height, conv->width, numbers.codes};
    numbers.spec = (struct i4q_conv_spec){
        .shape = *shape,
        .weights = {conv->bits, !conv->is_unsigned, numbers.codes, numbers.scales, numbers.zero_points,
                    conv->block_size, numbers.bias},
        .activation = conv->activation,
        .level = conv->is_float ? 0 : 4,
        .input_scale = conv->input_scale,
        .input_zero = conv->input_zero,
    };
    return numbers;
}

void conv_unmake(struct conv_numbers *numbers)
{
    free(numbers->codes);
    free(numbers->zero_points);
    free(numbers->scales);
    free(numbers->bias);
    free(numbers->x);
}

/* ---- computing */

static void run_pool(void *pool, size_t count, i4q_chunk_fn *chunk, void *context)
{
    const size_t *workers = pool;
    i4q_parallel_for((unsigned)*workers, count, chunk, context);
}

float *conv_compute(const struct conv_numbers *numbers, const struct i4q_conv_kernels *set, size_t workers,
                    struct i4q_error *error)
{
    struct i4q_conv *conv = i4q_conv_prepare(&numbers->spec, set, error);
    if (!conv)
        return NULL;
    const struct i4q_conv_workers pool = {workers, run_pool, &workers};
    size_t bytes = i4q_conv_scratch(conv, &numbers->input, workers);
    float *y = must(malloc(numbers->outputs * sizeof *y + !numbers->outputs));
    void *scratch = must(malloc(bytes));
    memset(scratch, 0xa5, bytes);
    memset(y, 0xff, numbers->outputs * sizeof *y);
    i4q_conv_run(conv, &numbers->input, y, scratch, &pool);
    free(scratch);
    i4q_conv_free(conv);
    return y;
}

bool conv_check(const struct conv_case *conv, const struct i4q_conv_kernels *set, char *message, size_t size)
{
    static const size_t workers[] = {1, 2, 5};
    struct i4q_error error = {0};
    struct conv_numbers numbers = conv_make(conv);
    float *expected = conv_compute(&numbers, i4q_conv_choose("scalar", &error), 1, &error);
    bool same = expected != NULL;
    char text[400];
    for (size_t i = 0; same && i < sizeof workers / sizeof *workers; i++) {
        float *y = conv_compute(&numbers, set, workers[i], &error);
        same = y && memcmp(y, expected, numbers.outputs * sizeof *y) == 0;
        free(y);
        conv_describe(conv, text, sizeof text);
        if (!same)
            snprintf(message, size, "%s, %zu workers: differs from the scalar set: %s %s",
                     i4q_conv_set_name(set), workers[i], text, error.message);
    }
    if (!expected)
        snprintf(message, size, "%s", error.message);
    free(expected);
    conv_unmake(&numbers);
    return same;
}

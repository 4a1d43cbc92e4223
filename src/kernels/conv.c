// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv_impl.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is given, checked */

static bool check_axis(const struct i4q_conv_shape *shape, size_t axis, struct i4q_error *error)
{
    size_t reach;
    if (!shape->kernel[axis] || !shape->strides[axis] || !shape->dilations[axis])
        return i4q_fail(error, I4Q_MODEL, "kernel, stride and dilation must be at least 1");
    if (!i4q_mul_size(shape->kernel[axis], shape->dilations[axis], &reach) || reach > INT32_MAX ||
        shape->strides[axis] > INT32_MAX || shape->pads[axis] > INT32_MAX ||
        shape->pads[axis + 2] > INT32_MAX)
        return i4q_fail(error, I4Q_MODEL, "kernel, stride, dilation or padding is too large");
    return true;
}

/* `weights`: those of an output. */
static bool check_shape(const struct i4q_conv_shape *shape, size_t *weights, struct i4q_error *error)
{
    size_t all;
    if (!shape->groups || !shape->channels || !shape->outputs || shape->channels % shape->groups != 0 ||
        shape->outputs % shape->groups != 0)
        return i4q_fail(error, I4Q_MODEL, "%zu channels and %zu outputs do not fall into %zu groups",
                        shape->channels, shape->outputs, shape->groups);
    if (!check_axis(shape, 0, error) || !check_axis(shape, 1, error))
        return false;
    if (!i4q_mul_size(shape->kernel[0], shape->kernel[1], weights) ||
        !i4q_mul_size(*weights, shape->channels / shape->groups, weights) ||
        !i4q_mul_size(*weights, shape->outputs, &all) || all > PTRDIFF_MAX / 16)
        return i4q_fail(error, I4Q_MODEL, "there are more weights than memory can hold");
    return true;
}

static bool check_spec(const struct i4q_conv_spec *spec, size_t *weights, struct i4q_error *error)
{
    unsigned bits = spec->weights.bits;
    if (bits < 2 || bits > 8)
        return i4q_fail(error, I4Q_MODEL, "codes of %u bits are not supported, only of 2 to 8", bits);
    if (spec->level != 0 && spec->level != 4)
        return i4q_fail(error, I4Q_MODEL, "level %u is not known, only 0 and 4", spec->level);
    if (spec->input_scale != 0 && (!isnormal(spec->input_scale) || spec->input_scale < 0))
        return i4q_fail(error, I4Q_MODEL, "the scale of the input, %g, is no positive number",
                        (double)spec->input_scale);
    return check_shape(&spec->shape, weights, error);
}

/* ---- preparing */

static int zero_point(const struct i4q_conv_weights *weights, size_t i)
{
    unsigned bits = weights->zero_bits ? weights->zero_bits : weights->bits;
    return weights->zero_points ? i4q_conv_number(weights->zero_points, i, bits, weights->is_signed) : 0;
}

static bool copy_scales(struct i4q_conv *conv, const struct i4q_conv_weights *weights,
                        struct i4q_error *error)
{
    for (size_t i = 0; i < conv->shape.outputs * conv->blocks; i++) {
        if (!isfinite(weights->scales[i]))
            return i4q_fail(error, I4Q_MODEL, "scale %zu is not finite", i);
        conv->scales[i] = weights->scales[i];
        conv->zeros[i] = (int16_t)zero_point(weights, i);
    }
    for (size_t o = 0; o < conv->shape.outputs; o++) {
        conv->bias[o] = weights->bias ? weights->bias[o] : 0;
        conv->row_scales[o] =
            conv->blocks == 1 ? conv->scales[o] : i4q_conv_largest_weight(conv, weights->codes, o) / 127;
    }
    return true;
}

/* Sums of products with 8 bits must fit int32_t. */
static bool check_sums(const struct i4q_conv *conv, const void *codes, struct i4q_error *error)
{
    int16_t *row = malloc(conv->weights * sizeof *row);
    if (!row)
        return i4q_fail_memory(error);
    uint64_t most = 0;
    for (size_t o = 0; o < conv->shape.outputs; o++) {
        uint64_t sum = 0;
        i4q_conv_row(conv, codes, o, row);
        for (size_t k = 0; k < conv->weights; k++)
            sum += (uint64_t)abs(row[k]);
        most = sum > most ? sum : most;
    }
    free(row);
    if (most > INT32_MAX / 255)
        return i4q_fail(error, I4Q_MODEL, "sums of %zu products could overflow 32 bits", conv->weights);
    return true;
}

/* Best first; the last one takes all. */
static const struct i4q_conv_algorithm *const algorithms[] = {&i4q_conv_depthwise, &i4q_conv_dense,
                                                              &i4q_conv_plain};

static bool choose_algorithm(struct i4q_conv *conv, const void *codes, struct i4q_error *error)
{
    const struct i4q_conv_algorithm *const *algorithm = algorithms;
    while (!(*algorithm)->takes(conv))
        algorithm++;
    conv->algorithm = *algorithm;
    return (*algorithm)->pack(conv, codes, error);
}

static struct i4q_conv *allocate(const struct i4q_conv_spec *spec, size_t weights, struct i4q_error *error)
{
    struct i4q_conv *conv = calloc(1, sizeof *conv);
    if (!conv) {
        i4q_fail_memory(error);
        return NULL;
    }
    size_t block = spec->weights.block_size;
    bool has_blocks = block && block < weights;
    conv->weights = weights;
    conv->block = has_blocks ? block : weights;
    conv->blocks = has_blocks ? i4q_div_up(weights, block) : 1;
    size_t outputs = spec->shape.outputs, all = outputs * conv->blocks;
    conv->scales = calloc(all, sizeof *conv->scales);
    conv->zeros = calloc(all, sizeof *conv->zeros);
    conv->bias = calloc(outputs, sizeof *conv->bias);
    conv->row_scales = calloc(outputs, sizeof *conv->row_scales);
    if (conv->scales && conv->zeros && conv->bias && conv->row_scales)
        return conv;
    i4q_fail_memory(error);
    i4q_conv_free(conv);
    return NULL;
}

struct i4q_conv *i4q_conv_prepare(const struct i4q_conv_spec *spec, const struct i4q_conv_kernels *set,
                                  struct i4q_error *error)
{
    size_t weights = 0;
    struct i4q_conv *conv = check_spec(spec, &weights, error) ? allocate(spec, weights, error) : NULL;
    if (!conv)
        return NULL;
    conv->set = set;
    conv->shape = spec->shape;
    conv->activation = spec->activation;
    conv->level = spec->level;
    conv->bits = spec->weights.bits;
    conv->is_signed = spec->weights.is_signed;
    if (spec->level == 4 && spec->input_scale > 0)
        conv->input =
            (struct i4q_conv_grid){spec->input_scale, 1 / spec->input_scale, spec->input_zero, true};
    if (copy_scales(conv, &spec->weights, error) &&
        (conv->level == 0 || check_sums(conv, spec->weights.codes, error)) &&
        choose_algorithm(conv, spec->weights.codes, error))
        return conv;
    i4q_conv_free(conv);
    return NULL;
}

void i4q_conv_free(struct i4q_conv *conv)
{
    if (!conv)
        return;
    free(conv->scales);
    free(conv->zeros);
    free(conv->bias);
    free(conv->row_scales);
    free(conv->packed);
    free(conv);
}

size_t i4q_conv_held(const struct i4q_conv *conv)
{
    size_t all = conv->shape.outputs * conv->blocks, outputs = conv->shape.outputs;
    return sizeof *conv + all * (sizeof *conv->scales + sizeof *conv->zeros) + outputs * 2 * sizeof(float) +
           conv->packed_bytes;
}

/* ---- sizes */

static bool output_size(const struct i4q_conv_shape *shape, size_t axis, size_t input, size_t *output)
{
    size_t reach = (shape->kernel[axis] - 1) * shape->dilations[axis] + 1;
    size_t padded = input + shape->pads[axis] + shape->pads[axis + 2];
    *output = padded < reach ? 0 : (padded - reach) / shape->strides[axis] + 1;
    return input <= INT32_MAX && (padded >= reach || input == 0);
}

bool i4q_conv_output(const struct i4q_conv *conv, size_t height, size_t width, size_t output[2],
                     struct i4q_error *error)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    size_t input, all;
    if (!output_size(shape, 0, height, &output[0]) || !output_size(shape, 1, width, &output[1]))
        return i4q_fail(error, I4Q_MODEL, "a kernel of %zu x %zu does not fit into an input of %zu x %zu",
                        shape->kernel[0], shape->kernel[1], height, width);
    if (!i4q_mul_size(height * width, shape->channels, &input) ||
        !i4q_mul_size(output[0] * output[1], shape->outputs, &all) || input > PTRDIFF_MAX / 64 ||
        all > PTRDIFF_MAX / 64)
        return i4q_fail(error, I4Q_MODEL, "an input of %zu x %zu is too large", height, width);
    return true;
}

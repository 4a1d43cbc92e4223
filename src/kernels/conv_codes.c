// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv_impl.h"

#include "base/bits.h"

#include <math.h>

int i4q_conv_number(const void *numbers, size_t i, unsigned bits, bool is_signed)
{
    unsigned number = i4q_bits_load(numbers, i, bits);
    return is_signed ? i4q_bits_signed(number, bits) : (int)number;
}

static int stored_code(const struct i4q_conv *conv, const void *codes, size_t i)
{
    return i4q_conv_number(codes, i, conv->bits, conv->is_signed);
}

static size_t block_end(const struct i4q_conv *conv, size_t block)
{
    size_t end = (block + 1) * conv->block;
    return end < conv->weights ? end : conv->weights;
}

void i4q_conv_decoded_row(const struct i4q_conv *conv, const void *codes, size_t o, float *row)
{
    for (size_t block = 0, k = 0; block < conv->blocks; block++) {
        int zero = conv->zeros[o * conv->blocks + block];
        float scale = conv->scales[o * conv->blocks + block];
        for (; k < block_end(conv, block); k++)
            row[k] = (float)(stored_code(conv, codes, o * conv->weights + k) - zero) * scale;
    }
}

/* Codes less zero point. */
static void read_row(const struct i4q_conv *conv, const void *codes, size_t o, int16_t *row)
{
    for (size_t block = 0, k = 0; block < conv->blocks; block++) {
        int zero = conv->zeros[o * conv->blocks + block];
        for (size_t end = block_end(conv, block); k < end; k++)
            row[k] = (int16_t)(stored_code(conv, codes, o * conv->weights + k) - zero);
    }
}

float i4q_conv_largest_weight(const struct i4q_conv *conv, const void *codes, size_t o)
{
    float largest = 0;
    for (size_t k = 0; k < conv->weights; k++) {
        size_t block = o * conv->blocks + k / conv->block;
        int code = stored_code(conv, codes, o * conv->weights + k) - conv->zeros[block];
        largest = fmaxf(largest, fabsf((float)code * conv->scales[block]));
    }
    return largest;
}

static int requantize(float weight, float scale)
{
    enum { MOST = 127 };
    return scale > 0 ? (int)fmaxf(fminf(rintf(weight / scale), MOST), -MOST) : 0;
}

void i4q_conv_row(const struct i4q_conv *conv, const void *codes, size_t o, int16_t *row)
{
    read_row(conv, codes, o, row);
    for (size_t k = 0; conv->blocks > 1 && k < conv->weights; k++) {
        float weight = (float)row[k] * conv->scales[o * conv->blocks + k / conv->block];
        row[k] = (int16_t)requantize(weight, conv->row_scales[o]);
    }
}

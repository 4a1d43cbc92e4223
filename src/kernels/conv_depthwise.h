// SPDX-License-Identifier: Apache-2.0
/*
 * Depthwise Convs at level 4: a channel after the other, each from its range to its numbers while it is in
 * the nearest caches.
 *
 * X is quantized into a plane, a byte a pixel, rows with their padding between them: the right one of a row
 * is the left one of the next. With a stride of s down, the rows that are s apart are neighbours in a plane
 * of their own (a phase). So Y's pixels lie as the plane's do, and what a weight is multiplied with is an
 * offset from there, the same for all of Y.
 *
 * A tap is two pixels that are neighbours in a row, one at an even distance from where the row begins, with a
 * weight for each: bytes, the first one low, as vpmaddubsw and its like multiply them. With a stride of 1
 * across, the same pixels serve two of Y's, with weights of their own: "even" for Y's pixels of even index,
 * "odd" for the following ones. A stride of 2 needs the even ones only. Sums are exact in 16 bits: a Conv of
 * such small weights that they cannot is cut into runs of taps.
 */
#ifndef INT4Q_KERNELS_CONV_DEPTHWISE_H
#define INT4Q_KERNELS_CONV_DEPTHWISE_H

#include "kernels/conv_impl.h"

enum {
    I4Q_DEPTHWISE_SLACK = 128, /* bytes, and sums, that may be touched behind what was asked for */
};

/* A phase of the plane, as it is laid out from quantized rows without gaps. All in bytes but `rows`. */
struct i4q_depthwise_phase {
    size_t before, behind; /* padding in front of the first pixel, and behind the last row's gap */
    size_t first, stride;  /* where its rows begin, and from one to the next */
    size_t rows, width;
    size_t pitch; /* from a row of the plane to the next; what is not `width` is padding */
};

struct i4q_depthwise_tap {
    uint16_t even, odd;
};

struct i4q_depthwise_kernels {
    int origin; /* subtracted from each pixel before it is multiplied: 0, or 128 where pixels are signed */

    /* u of n numbers. The grid was given: they may be beyond its ends, or none. */
    void (*quantize)(const float *x, size_t n, const struct i4q_conv_grid *grid, bool given, uint8_t *bytes);

    void (*lay)(const struct i4q_depthwise_phase *phase, const uint8_t *bytes, int zero, uint8_t *plane);

    /* sums[i] = start + sum over t < n of the pair at pixels[offsets[t] + stride * i], which is one less for
     * an odd i and a stride of 1, times its weights; modulo 2^16. For a stride of 1, and of 2. */
    void (*add_up[2])(const uint8_t *pixels, const size_t *offsets, const struct i4q_depthwise_tap *taps,
                      size_t n, int16_t start, size_t count, int16_t *sums);

    /* The numbers of rows × width sums; `pitch` sums from a row to the next. Correction is not looked at. */
    void (*finish)(const int16_t *sums, size_t rows, size_t width, size_t pitch,
                   const struct i4q_conv_finish *finish, float *y);
};

#if defined(__x86_64__)
extern const struct i4q_depthwise_kernels i4q_depthwise_avx2, i4q_depthwise_avx512;
#elif defined(__aarch64__)
extern const struct i4q_depthwise_kernels i4q_depthwise_neon;
#endif

#endif

// SPDX-License-Identifier: Apache-2.0
/* What the files of the depthwise algorithm share: weights as they are held, planes as they lie. */
#ifndef INT4Q_KERNELS_DEPTHWISE_IMPL_H
#define INT4Q_KERNELS_DEPTHWISE_IMPL_H

#include "kernels/conv_depthwise.h"

/* ---- weights (depthwise_pack.c) */

/* Of a Conv; one block of memory. Taps lie row by row, those of a row from left to right: pairs of
 * neighbours, or, where pixels of a row that are multiplied are no neighbours, or two weights too large for
 * each other, a tap for each weight. */
struct i4q_depthwise_packed {
    bool single;
    size_t per_row, count; /* taps of a row of the kernel, and of all of it */
    int32_t *sums;         /* outputs: the sum of the weights */
    uint16_t *runs;        /* outputs: taps whose sums fit 16 bits, so that all fall into such runs */
    struct i4q_depthwise_tap *taps; /* outputs × count */
};

bool i4q_depthwise_takes(const struct i4q_conv *conv);
bool i4q_depthwise_pack(struct i4q_conv *conv, const void *codes, struct i4q_error *error);

/* ---- planes (depthwise_planes.c) */

struct i4q_depthwise_planes {
    size_t phases;  /* of rows that weights meet; a plane for each */
    size_t lines;   /* rows of a plane */
    size_t pitch;   /* bytes of a row, with its padding */
    size_t bytes;   /* of a plane; SIZE_MAX: more than there can be */
    size_t y_pitch; /* pixels from a row of Y to the next, as they lie */
};

struct i4q_depthwise_planes i4q_depthwise_lay_out(const struct i4q_conv_job *job);

/* How each of the planes is made. */
void i4q_depthwise_phases(const struct i4q_conv_job *job, const struct i4q_depthwise_planes *planes,
                          struct i4q_depthwise_phase *phases);

/* Bytes from a pixel of Y in the first plane to what each tap multiplies. */
void i4q_depthwise_offsets(const struct i4q_conv_job *job, const struct i4q_depthwise_planes *planes,
                           size_t *offsets);

/* Where `count` elements go that follow `total` bytes, which grow by them, aligned. SIZE_MAX: by more than
 * there can be. */
size_t i4q_depthwise_place(size_t count, size_t size, size_t *total);

#endif

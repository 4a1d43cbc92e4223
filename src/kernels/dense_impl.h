// SPDX-License-Identifier: Apache-2.0
/* What the files of the dense algorithm share: weights as they are held, planes as they lie. */
#ifndef INT4Q_KERNELS_DENSE_IMPL_H
#define INT4Q_KERNELS_DENSE_IMPL_H

#include "kernels/conv_dense.h"

/* ---- weights (dense_pack.c) */

/* Weights of a Conv, less zero point, as sums of digits: digit 0 + 16 * digit 1. What is held of a digit is a
 * nibble, which is an offset more. Two digits are multiplied one after the other where the set cannot take
 * their sum, or it is no int8_t; else they are added when a tile is decoded. One block of memory. */
struct i4q_dense_packed {
    size_t quads, steps; /* of a group */
    size_t group_tiles;  /* tiles of a group; a tile is of one group */
    unsigned digits;
    unsigned passes;  /* decoded tiles that dot is called with: the digits, or 1 for their sum */
    size_t most_runs; /* of a pass */
    int32_t *sums;    /* outputs: the sum of the weights */
    size_t *counts;   /* tiles × passes: of runs */
    uint16_t *runs;   /* tiles × passes × most_runs */
    uint8_t *offsets; /* tiles × digits × I4Q_DENSE_ROWS */
    uint8_t *nibbles; /* tiles × digits × steps × 16: of output o of a step, the low halves of bytes 4 * o and
                         following; of output 4 + o, the high ones */
};

bool i4q_dense_pack(struct i4q_conv *conv, const void *codes, struct i4q_error *error);

/* Decodes what pass `pass` needs of a tile: steps × I4Q_DENSE_STEP. */
void i4q_dense_decode(const struct i4q_dense_packed *packed, size_t tile, unsigned pass, int8_t *weights);

/* ---- planes (dense_planes.c) */

struct i4q_dense_planes {
    size_t height, width, output[2]; /* as the Conv is computed: maps of 1 x 1 Convs are one row */
    size_t phases[2];
    size_t rows, pitch;               /* of a plane, in pixels */
    size_t last;                      /* pixels of padding behind the last row */
    size_t pixels;                    /* of Y as it lies in a plane, from the first to the last */
    size_t plane, quad, group, bytes; /* bytes of a plane, of a quad's planes, of a group's; of all */
};

struct i4q_dense_planes i4q_dense_lay_out(const struct i4q_conv_job *job);

/* Bytes from a pixel of Y in the first plane of a group to what each step multiplies. */
void i4q_dense_offsets(const struct i4q_conv_job *job, const struct i4q_dense_planes *planes,
                       size_t *offsets);

/* Fills all planes whose grid is possible. `lines`: i4q_dense_line() bytes for each worker. */
void i4q_dense_quantize(const struct i4q_conv_job *job, const struct i4q_dense_planes *planes, uint8_t *bytes,
                        uint8_t *lines);
size_t i4q_dense_line(const struct i4q_dense_planes *planes);

#endif

// SPDX-License-Identifier: Apache-2.0
/* What the files of the dense algorithm share: weights as they are held, planes as they lie. */
#ifndef INT4Q_KERNELS_DENSE_IMPL_H
#define INT4Q_KERNELS_DENSE_IMPL_H

#include "kernels/conv_dense.h"

/* ---- weights (dense_pack.c) */

/* Weights of a Conv, less zero point, as sums of digits: digit 0 + 16 * digit 1. What is held of a digit is a
 * nibble, which is an offset more. Two digits are multiplied one after the other where the set cannot take
 * their sum (8 bits, and its sums are int16_t), or it is no int8_t; else they are added when a tile is
 * decoded. One block of memory. */
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

/* How some rows of Y and what they need of X lie. */
struct i4q_dense_planes {
    size_t phases[2];                 /* planes of a quad, down and across */
    size_t pitch;                     /* pixels from one row to the next */
    size_t last;                      /* of padding behind the last row */
    size_t plane, quad, group, bytes; /* of a plane, of a quad's planes, of a group's, of all: bytes */
};

struct i4q_dense_planes i4q_dense_lay_out(const struct i4q_conv_job *job, size_t rows);

/* Bytes from a pixel of Y in the first plane of a group to what each step multiplies. */
void i4q_dense_offsets(const struct i4q_conv_job *job, const struct i4q_dense_planes *planes,
                       size_t *offsets);

/* Rows of Y that are computed from the same planes. */
struct i4q_dense_band {
    const struct i4q_conv_job *job;
    const struct i4q_dense_planes *planes;
    uint8_t *bytes;     /* the planes */
    size_t first, rows; /* of Y */
};

/* Fills the planes of a quad, unless its grid is not possible. `pixels` has room for a row of X as quads. */
void i4q_dense_fill(const struct i4q_dense_band *band, size_t quad, uint8_t *pixels);

#endif

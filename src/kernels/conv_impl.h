// SPDX-License-Identifier: Apache-2.0
/* What the files behind conv.h share: what a prepared Conv is, and what a kernel set has to offer. */
#ifndef INT4Q_KERNELS_CONV_IMPL_H
#define INT4Q_KERNELS_CONV_IMPL_H

#include "kernels/conv.h"

/* Smallest and largest of some numbers and 0. */
struct i4q_conv_range {
    float low, high;
    bool finite; /* none of the numbers is NaN or infinite; else low and high are of no use */
};

/* How numbers become 8 bits, and back. */
struct i4q_conv_grid {
    float scale, inverse;
    int zero;
    bool possible; /* false: level 0 has to do it */
};

/* From sums to numbers: y = activation(fma(float(sum - correction), scale, bias)). */
struct i4q_conv_finish {
    int32_t correction;
    float scale, bias;
    const struct i4q_conv_activation *activation;
};

struct i4q_dense_kernels;
struct i4q_depthwise_kernels;

/* A kernel set. n may be 0; pointers are aligned to their element type. */
struct i4q_conv_kernels {
    const char *name;
    unsigned needs; /* i4q_cpu_feature bits */

    /* Widens `range`, which begins as {0, 0, true}, to n more numbers. */
    void (*range)(const float *x, size_t n, struct i4q_conv_range *range);

    /* The numbers of n sums that follow each other in a row of Y. */
    void (*finish)(const int32_t *sums, size_t n, const struct i4q_conv_finish *finish, float *y);

    /* Of conv_dense.h. NULL: Convs that are not depthwise are left to i4q_conv_plain. */
    const struct i4q_dense_kernels *dense;

    /* Of conv_depthwise.h. NULL: depthwise Convs are left to the other ways. */
    const struct i4q_depthwise_kernels *depthwise;
};

extern const struct i4q_conv_kernels i4q_conv_scalar;
#if defined(__x86_64__)
extern const struct i4q_conv_kernels i4q_conv_avx2, i4q_conv_avxvnni, i4q_conv_avx512vnni;
#elif defined(__aarch64__)
extern const struct i4q_conv_kernels i4q_conv_neon, i4q_conv_neondot;
#endif

struct i4q_conv_algorithm;

struct i4q_conv {
    const struct i4q_conv_kernels *set;
    struct i4q_conv_shape shape;
    struct i4q_conv_activation activation;
    struct i4q_conv_grid input; /* that was given; scale 0: none was */
    unsigned level, bits;
    bool is_signed;
    size_t weights;    /* of an output: K */
    size_t block;      /* weights that share a scale; K where there are no blocks */
    size_t blocks;     /* of an output */
    float *scales;     /* outputs × blocks, as given */
    int16_t *zeros;    /* outputs × blocks */
    float *bias;       /* outputs */
    float *row_scales; /* outputs: one a channel, for level 4 */
    const struct i4q_conv_algorithm *algorithm;
    void *packed; /* what the algorithm has made of the weights; freed with the Conv */
    size_t packed_bytes;
};

/* An image being computed. */
struct i4q_conv_job {
    const struct i4q_conv *conv;
    const float *x; /* channels × height × width */
    const void *codes;
    float *y;
    size_t height, width, output[2];
    struct i4q_conv_grid *grids; /* i4q_conv_grids() of them */
    char *scratch;               /* what the algorithm asked for, aligned to 64 bytes */
    const struct i4q_conv_workers *workers;
};

/* A way to compute. `pack` fills conv->packed, if it needs to; `scratch` gives SIZE_MAX for more than there
 * can be. */
struct i4q_conv_algorithm {
    bool (*takes)(const struct i4q_conv *conv);
    bool (*pack)(struct i4q_conv *conv, const void *codes, struct i4q_error *error);
    size_t (*scratch)(const struct i4q_conv_job *job);
    void (*run)(const struct i4q_conv_job *job);
    bool finds_grids; /* itself, as it comes to each channel; job->grids is not filled */
};

extern const struct i4q_conv_algorithm i4q_conv_depthwise, i4q_conv_dense, i4q_conv_plain;

/* Output o at level 0. `scratch`: i4q_conv_float_scratch() bytes, aligned to 64. */
void i4q_conv_float_output(const struct i4q_conv_job *job, size_t o, void *scratch);
size_t i4q_conv_float_scratch(const struct i4q_conv_job *job);

/* The grid of a channel of X. */
static inline const struct i4q_conv_grid *i4q_conv_grid_of(const struct i4q_conv_job *job, size_t channel)
{
    bool each = job->conv->shape.groups == job->conv->shape.channels;
    return &job->grids[each ? channel : 0];
}

/* The part of a row of Y that reads input where there is some, for a tap: of each channel of X, of height *
 * width pixels, y[first + i] reads x[start + i * stride across], for i < count. */
struct i4q_conv_line {
    size_t first, count, start;
};

struct i4q_conv_line i4q_conv_line(const struct i4q_conv_job *job, size_t row, size_t tap);

/* Grids of an image: one, or one a channel where the Conv is depthwise. */
size_t i4q_conv_grids(const struct i4q_conv *conv);

/* Cuts `count` into pieces for the workers, and calls `piece` for each, perhaps at the same time: elements
 * first ... end - 1, `index` < workers. */
typedef void i4q_conv_piece(const void *context, size_t index, size_t first, size_t end);
void i4q_conv_share(const struct i4q_conv_workers *workers, size_t count, i4q_conv_piece *piece,
                    const void *context);

/* Number i of a stream of numbers of so many bits. */
int i4q_conv_number(const void *numbers, size_t i, unsigned bits, bool is_signed);

/* The largest |weight| of output o. */
float i4q_conv_largest_weight(const struct i4q_conv *conv, const void *codes, size_t o);

/* Codes less zero point, and decoded weights, of output o; K of each. `codes` as in struct i4q_conv_input. */
void i4q_conv_row(const struct i4q_conv *conv, const void *codes, size_t o, int16_t *row);
void i4q_conv_decoded_row(const struct i4q_conv *conv, const void *codes, size_t o, float *row);

/* The grid of a range. */
struct i4q_conv_grid i4q_conv_make_grid(const struct i4q_conv_range *range);

/* u of one number. */
uint8_t i4q_conv_quantize(const struct i4q_conv_grid *grid, float x);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * Scale and zero point of an activation, from how its values are spread.
 *
 * Codes of b bits run from 0 to top = 2^b - 1; code q stands for (q - zero) * scale, so that 0, which pads
 * the borders, is exact. docs/methods.md defines the rules, with their sources. All sums are in binary64 and
 * in a fixed order: what is found depends on neither kernels nor threads.
 */
#ifndef INT4Q_QUANTIZE_RANGE_H
#define INT4Q_QUANTIZE_RANGE_H

#include "quantize/histogram.h"

enum i4q_range_rule {
    I4Q_RANGE_L24,        /* both ends searched for the least sum of |error|^2.4 */
    I4Q_RANGE_MSE,        /* the same with the square */
    I4Q_RANGE_MINMAX,     /* from the least value to the greatest */
    I4Q_RANGE_PERCENTILE, /* the same without a twenty thousandth of the values at each end */
    I4Q_RANGE_UNILATERAL, /* from the least value to where the squared errors of those above 0 are least */
};

/* Word `index` of the rules, NULL behind the last; the index is the value of the enumeration. */
const char *i4q_range_word(size_t index);

/* The words of --activations: what codes there are, and of which type they are stored. */
struct i4q_levels {
    const char *name;
    unsigned bits;
    bool is_signed;
};
extern const struct i4q_levels i4q_levels[]; /* ends with one whose name is NULL */
const char *i4q_levels_word(size_t index);   /* NULL behind the last */

struct i4q_range {
    float scale;
    int zero; /* 0 to top */
    unsigned bits;
};

/* What values go through. */
typedef double i4q_range_behind_fn(double value, double parameter);

/* All that a choice depends on. */
struct i4q_range_choice {
    enum i4q_range_rule rule;
    unsigned bits; /* 2 to 8 */
    bool half;     /* the scale is rounded to binary16 before it is tried */
    /* What the values go through next, behind which errors count; NULL: as they are. */
    i4q_range_behind_fn *behind;
    double parameter;
};

/* The range of a tensor, of which channel c was divided by factors[c] before it is quantized (NULL: by 1).
 * False when memory runs out. */
bool i4q_range_find(const struct i4q_histogram *histogram, const float *factors,
                    const struct i4q_range_choice *choice, struct i4q_range *range) I4Q_MUST_CHECK;

/* By what each channel is to be divided so that all come to be spread alike: the scale that each would have
 * alone over their geometric mean, between 1/16 and 16; of that the root is taken `roots` times. Weights that
 * meet the channels are multiplied by it. Channels of zeros have 1. False when memory runs out. */
bool i4q_range_factors(const struct i4q_histogram *histogram, unsigned roots, float *factors) I4Q_MUST_CHECK;

/* What share of itself a channel loses to the range: the mean over the channels of
 * min(sum e^2 / sum (x - E[x])^2, 1). */
double i4q_range_share(const struct i4q_histogram *histogram, const float *factors,
                       const struct i4q_range *range);

/* How much the range is likely to cost a detector, in no unit: that share times the root of how many values a
 * channel has. */
double i4q_range_loss(const struct i4q_histogram *histogram, const float *factors,
                      const struct i4q_range *range);

/* What quantization adds to the mean of a channel, after the division. */
double i4q_range_shift(const struct i4q_histogram *histogram, const float *factors, size_t channel,
                       const struct i4q_range *range);

#endif

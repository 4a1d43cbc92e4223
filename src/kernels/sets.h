// SPDX-License-Identifier: Apache-2.0
/*
 * The inner loops, one object a kernel set. The scalar set is the definition (docs/reference.md); every other
 * set gives the same bytes on any input, which tests/kernels/test_kernels.c holds it to.
 *
 * All functions are pure, thread-safe and never allocate. Pointers need no alignment beyond that of their
 * element type, except `const void *` sources, which need none at all (payloads in a mapped file start
 * anywhere). n may be 0. Input and output never overlap.
 */
#ifndef INT4Q_KERNELS_SETS_H
#define INT4Q_KERNELS_SETS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    I4Q_LANES = 16, /* partial sums of an error figure: the widest register there is, in floats */
    I4Q_RUN = 4096, /* most elements of one call that adds up errors; a multiple of I4Q_LANES */
};

/* The codes that share a scale: code = clamp(rint(w / scale) + zero, low, high), rounding half to even, and
 * decoded = float(code - zero) * scale. scale > 0; codes fit int8_t. */
struct i4q_grid {
    float scale;
    int zero, low, high;
};

/* How far decoded weights are from the weights. Within a call the sums are taken in binary32, in
 * I4Q_LANES partial sums (element i in lane i % I4Q_LANES), after a multiplication by `unit`, a power of two
 * near 1 / max |w| that keeps them from overflow and underflow; the lanes are added here in binary64, half to
 * half. So every kernel set rounds alike, and calls of I4Q_RUN elements lose less than 1e-5 of a sum.
 */
struct i4q_error_sums {
    double signal;   /* sum of w^2 */
    double noise;    /* sum of (w - decoded)^2 */
    double drift;    /* sum of w - decoded */
    float max_error; /* largest |w - decoded| */
};

struct i4q_kernels {
    const char *name;
    unsigned needs; /* i4q_cpu_feature bits, all of which this set's file is compiled for */

    /* Largest |w| of n binary32 elements; NaN or infinity if there is one among them (which of them is not
     * specified), so `isfinite` of the result answers for the whole run. 0 when n == 0. */
    float (*absmax)(const void *weights, size_t n);

    /* Smallest and largest of n finite elements and 0. */
    void (*range)(const void *weights, size_t n, float *min, float *max);

    /* The codes of n finite elements. */
    void (*quantize)(const void *weights, size_t n, const struct i4q_grid *grid, int8_t *codes);

    /* quantize, pack4, dequantize and measure (with the unit 1) in one pass, for at most 16 codes around the
     * zero point and a scale that i4q_encode4_takes(); n <= I4Q_RUN. */
    void (*encode4)(const void *weights, size_t n, const struct i4q_grid *grid, uint8_t *packed,
                    struct i4q_error_sums *sums);

    /* Two codes a byte: even index in bits 0-3, odd index in bits 4-7, only the low four bits of a code are
     * used; the last high nibble is 0 when n is odd. Writes exactly (n + 1) / 2 bytes. */
    void (*pack4)(const int8_t *codes, size_t n, uint8_t *packed);

    /* The inverse for signed codes: sign-extends each nibble to -8..7. Reads exactly (n + 1) / 2 bytes. */
    void (*unpack4)(const void *packed, size_t n, int8_t *codes);

    /* Codes of any width as one stream of bits: of code i only the low `bits` (2 to 6) are used, they stand
     * in bits i * bits to (i + 1) * bits - 1, where bit k is bit k % 8 of byte k / 8; bits behind the last
     * code are 0. Writes exactly ceil(n * bits / 8) bytes. With 4 bits this is pack4. */
    void (*pack)(const int8_t *codes, size_t n, unsigned bits, uint8_t *packed);

    /* The inverse for signed codes: each is sign-extended. Reads exactly ceil(n * bits / 8) bytes. */
    void (*unpack)(const void *packed, size_t n, unsigned bits, int8_t *codes);

    /* weights[i] = float(codes[i] - zero) * scale, one rounding. */
    void (*dequantize)(const int8_t *codes, size_t n, float scale, int zero, float *weights);

    /* Adds the errors of n <= I4Q_RUN finite elements to `sums`, see there. */
    void (*measure)(const void *weights, const float *decoded, size_t n, float unit,
                    struct i4q_error_sums *sums);

    /* y[i] -= factors[t * factor_stride] * rows[t * row_stride + i] for t = 0, 1, ..., terms - 1 in this
     * order; each product and each difference is rounded. For the small matrix products of calibration. */
    void (*combine)(double *y, size_t n, const double *rows, size_t row_stride, const double *factors,
                    size_t factor_stride, size_t terms);

    /* binary16 (IEEE 754, little-endian) to binary32, exact; NaN stays NaN. */
    void (*widen16)(const void *halves, size_t n, float *weights);
};

/* Whether encode4 can do with this scale: its reciprocal is normal, and squares of weights and errors have
 * room on both sides. Nearly all scales are such. */
bool i4q_encode4_takes(float scale);

/* Adds what other elements contribute. */
void i4q_error_add(struct i4q_error_sums *sums, const struct i4q_error_sums *more);

/* The `unit` for weights of this largest magnitude, or for a bound of it, which may be infinite. */
float i4q_error_unit(float absmax);

/* 10 log10(signal / noise) in dB; INFINITY when there is no noise, NAN when all weights are 0. */
double i4q_error_sqnr(const struct i4q_error_sums *sums);

/* All sets compiled in, best first, the scalar one last; ends with NULL. */
extern const struct i4q_kernels *const i4q_kernel_sets[];

/* Whether this CPU (and its operating system) can run the set. */
bool i4q_kernels_supported(const struct i4q_kernels *kernels);

/* The set to use: the one called `name`, or the best supported one when name is NULL or "".
 * A name that is unknown or that this CPU cannot run is I4Q_USAGE, and the result NULL. */
const struct i4q_kernels *i4q_kernels_choose(const char *name, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * The inner loops, one object a kernel set. The scalar set is the definition (docs: quantization in README);
 * every other set gives the same bytes on any input, which tests/test_kernels.c holds it to.
 *
 * All functions are pure, thread-safe and never allocate. Pointers need no alignment beyond that of their
 * element type, except `const void *` sources, which need none at all (payloads in a mapped file start
 * anywhere). n may be 0. Input and output never overlap.
 */
#ifndef INT4Q_KERNELS_H
#define INT4Q_KERNELS_H

#include "int4q/error.h"

#include <stddef.h>
#include <stdint.h>

/* How far decoded weights are from the weights. Each sum is kept in I4Q_LANES interleaved binary64 partial
 * sums (element i of a call adds to lane i % I4Q_LANES, each call starting anew at lane 0), so that vector
 * registers can hold them and every kernel set rounds alike. */
enum { I4Q_LANES = 8 };

struct i4q_error_sums {
    double signal[I4Q_LANES]; /* sum of w^2, w widened to binary64 */
    double noise[I4Q_LANES];  /* sum of (w - decoded)^2, both widened to binary64 before the subtraction */
    float max_error;          /* largest |w - decoded|, the difference taken in binary32 */
};

struct i4q_kernels {
    const char *name;
    unsigned needs; /* i4q_cpu_feature bits, all of which this set's file is compiled for */

    /* Largest |w| of n binary32 elements; NaN or infinity if there is one among them (which of them is not
     * specified), so `isfinite` of the result answers for the whole run. 0 when n == 0. */
    float (*absmax)(const void *weights, size_t n);

    /* codes[i] = clamp(rint(weights[i] / scale), -qmax, qmax), rounding half to even. weights finite, scale >
     * 0. */
    void (*quantize)(const void *weights, size_t n, float scale, int qmax, int8_t *codes);

    /* Two codes a byte: even index in bits 0-3, odd index in bits 4-7, only the low four bits of a code are
     * used; the last high nibble is 0 when n is odd. Writes exactly (n + 1) / 2 bytes. */
    void (*pack4)(const int8_t *codes, size_t n, uint8_t *packed);

    /* The inverse for signed codes: sign-extends each nibble to -8..7. Reads exactly (n + 1) / 2 bytes. */
    void (*unpack4)(const void *packed, size_t n, int8_t *codes);

    /* weights[i] = float(codes[i] - zero) * scale, one rounding. */
    void (*dequantize)(const int8_t *codes, size_t n, float scale, int zero, float *weights);

    /* Adds the errors of n finite elements to `sums`, see there. */
    void (*measure)(const void *weights, const float *decoded, size_t n, struct i4q_error_sums *sums);

    /* binary16 (IEEE 754, little-endian) to binary32, exact; NaN stays NaN. */
    void (*widen16)(const void *halves, size_t n, float *weights);
};

/* All sets compiled in, best first, the scalar one last; ends with NULL. */
extern const struct i4q_kernels *const i4q_kernel_sets[];

/* Whether this CPU (and its operating system) can run the set. */
bool i4q_kernels_supported(const struct i4q_kernels *kernels);

/* The set to use: the one called `name`, or the best supported one when name is NULL or "".
 * A name that is unknown or that this CPU cannot run is I4Q_USAGE, and the result NULL. */
const struct i4q_kernels *i4q_kernels_choose(const char *name, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

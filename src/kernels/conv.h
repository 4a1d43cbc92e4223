// SPDX-License-Identifier: Apache-2.0
/*
 * A Conv computed from its integer weights: float NCHW in, float NCHW out, activation fused. Two levels:
 *
 * Level 0, the reference: weights are decoded, w = float(code - zero point) * scale, and
 *     y = activation((sum over ky, then kx, then c of w * x) + bias)
 * in binary32, each product and each sum rounded; what lies in the padding adds nothing.
 *
 * Level 4: activations become 8 bits on the way in, the formula of DynamicQuantizeLinear. For each image, or
 * each channel of it where the Conv is depthwise (groups == channels):
 *     low = min(0, min x)     high = max(0, max x)     s = (high - low) / 255, 1 where that is 0
 *     z = min(rint(-low * (1 / s)), 255)               u = rint(clamp(x * (1 / s), -z, 255 - z)) + z
 * half to even. Where that cannot be (a NaN or infinity among the numbers, an s that is no normal number),
 * what depends on this image or channel comes from level 0. With an s and z that are given, nothing of X is
 * looked at before: an infinity is the most or the least that there is, and a NaN the most. Then acc = sum of
 * (code - zero point) * (u - z), exact y = activation(fma(float(acc), s * scale, bias)) in binary32. What
 * lies in the padding is z, and adds nothing. Scales a block of weights become one a channel first: scale =
 * max |weight| / 127, code = rint(weight / scale).
 *
 * Every kernel set, every number of workers and every split gives the same bytes, as one does of the scalar
 * set. Thread-safe: a prepared Conv never changes, scratch comes from the caller.
 */
#ifndef INT4Q_KERNELS_CONV_H
#define INT4Q_KERNELS_CONV_H

#include "base/error.h"
#include "kernels/conv_activation.h"
#include "platform/threads.h"

#include <stddef.h>
#include <stdint.h>

/* Of two spatial dimensions; one is a height of 1, with a kernel, stride and dilation of 1 and no padding. */
struct i4q_conv_shape {
    size_t channels, outputs, groups; /* of X, of Y; groups divides both */
    size_t kernel[2], strides[2], dilations[2];
    size_t pads[4]; /* top, left, bottom, right */
};

/* All borrowed until i4q_conv_prepare() returns, but codes: see i4q_conv_run(). K = channels / groups *
 * kernel height * kernel width is the number of weights of an output. */
struct i4q_conv_weights {
    unsigned bits; /* of a code, 2 to 8; code i is in bits i * bits and following, bit k is bit k % 8 of byte
                      k / 8 */
    bool is_signed;
    const void *codes;       /* outputs × K, row by row, no gap between rows */
    const float *scales;     /* outputs, or outputs × ceil(K / block_size) */
    const void *zero_points; /* shaped like the scales; NULL: 0 */
    size_t block_size;       /* weights of a row that share a scale; 0: all of them */
    const float *bias;       /* outputs; NULL: 0 */
    unsigned zero_bits;      /* of a zero point, else stored like the codes; 0: as many as those have */
};

struct i4q_conv_spec {
    struct i4q_conv_shape shape;
    struct i4q_conv_weights weights;
    struct i4q_conv_activation activation;
    unsigned level;     /* 0 or 4 */
    float input_scale;  /* s, for level 4; 0: from the numbers, on each run */
    uint8_t input_zero; /* z that goes with it */
};

/* X of one run: images × channels × height × width. */
struct i4q_conv_input {
    const float *x;
    size_t images, height, width;
    const void *codes; /* those of the weights, once more: level 0 reads them where they are */
};

/* Who works on a run: run(pool, n, chunk, context) calls chunk(context, i) once for each i < n, and returns
 * when all are done; chunks may run at the same time. A run is cut into `workers` pieces at most. */
struct i4q_conv_workers {
    size_t workers; /* at least 1; with 1, run is not called and may be NULL */
    void (*run)(void *pool, size_t count, i4q_chunk_fn *chunk, void *context);
    void *pool;
};

struct i4q_conv_kernels;
struct i4q_conv;

/* Checks what is there, and packs the weights for the set, at most 0.6 bytes a 4-bit weight without blocks.
 * NULL: a shape or number that cannot be (a scale that is not finite, sums that could overflow), or memory.
 */
struct i4q_conv *i4q_conv_prepare(const struct i4q_conv_spec *spec, const struct i4q_conv_kernels *set,
                                  struct i4q_error *error) I4Q_MUST_CHECK;
void i4q_conv_free(struct i4q_conv *conv); /* NULL: nothing */

/* Bytes that the prepared Conv holds. */
size_t i4q_conv_held(const struct i4q_conv *conv);

/* Height and width of Y, 0 where those of the input are. False: the kernel is larger than the padded input,
 * or sizes overflow. */
bool i4q_conv_output(const struct i4q_conv *conv, size_t height, size_t width, size_t output[2],
                     struct i4q_error *error) I4Q_MUST_CHECK;

/* Bytes of scratch that a run on an input of this size needs (x is not looked at); SIZE_MAX: more than there
 * can be. */
size_t i4q_conv_scratch(const struct i4q_conv *conv, const struct i4q_conv_input *input, size_t workers);

/* Computes Y, images × outputs × height × width, which overlaps nothing. `scratch` needs no alignment. The
 * size of the input is one that i4q_conv_output() takes. Cannot fail. */
void i4q_conv_run(const struct i4q_conv *conv, const struct i4q_conv_input *input, float *y, void *scratch,
                  const struct i4q_conv_workers *workers);

/* All sets compiled in, best first, the scalar one last; ends with NULL. Names: scalar, avx2, avxvnni,
 * avx512vnni, neon, neondot. */
extern const struct i4q_conv_kernels *const i4q_conv_sets[];

const char *i4q_conv_set_name(const struct i4q_conv_kernels *set);

/* As in sets.h, for this list. */
bool i4q_conv_supported(const struct i4q_conv_kernels *set);
const struct i4q_conv_kernels *i4q_conv_choose(const char *name, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

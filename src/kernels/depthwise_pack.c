// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise_impl.h"

#include "base/checked.h"

#include <stdlib.h>

enum {
    MOST = 128,      /* |sum of weights of one sign|, for which 255 times as much fits int16_t */
    MOST_STRIDE = 2, /* across */
};

static bool fits_byte(int code, const struct i4q_conv *conv)
{
    return conv->blocks > 1 || (code >= INT8_MIN && code <= INT8_MAX);
}

static bool codes_fit(const struct i4q_conv *conv)
{
    int least = conv->is_signed ? -(1 << (conv->bits - 1)) : 0, most = least + (1 << conv->bits) - 1;
    for (size_t o = 0; o < conv->shape.outputs; o++)
        if (!fits_byte(least - conv->zeros[o], conv) || !fits_byte(most - conv->zeros[o], conv))
            return false;
    return true;
}

bool i4q_depthwise_takes(const struct i4q_conv *conv)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    return conv->set->depthwise && conv->level == 4 && shape->groups == shape->channels &&
           shape->strides[1] <= MOST_STRIDE && conv->weights <= UINT16_MAX && codes_fit(conv);
}

static unsigned pair_of(int first, int second)
{
    return (unsigned)(first & 0xff) | (unsigned)(second & 0xff) << 8;
}

/* The weights of tap t of a row of the kernel. */
static struct i4q_depthwise_tap make_tap(const struct i4q_conv *conv, const int16_t *row, size_t t)
{
    const struct i4q_depthwise_packed *packed = conv->packed;
    size_t width = conv->shape.kernel[1];
    if (packed->single)
        return (struct i4q_depthwise_tap){(uint16_t)pair_of(row[t], 0), (uint16_t)pair_of(0, row[t])};
    int before = t > 0 ? row[2 * t - 1] : 0, first = 2 * t < width ? row[2 * t] : 0;
    int second = 2 * t + 1 < width ? row[2 * t + 1] : 0;
    return (struct i4q_depthwise_tap){(uint16_t)pair_of(first, second), (uint16_t)pair_of(before, first)};
}

static void add_by_sign(int weight, int by_sign[2])
{
    by_sign[weight < 0] += abs(weight);
}

/* Whether sums over runs of so many taps fit. Those of even and of odd indices are not of the same weights.
 */
static bool runs_fit(const struct i4q_depthwise_tap *taps, size_t count, size_t run)
{
    for (size_t first = 0; first < count; first += run) {
        int even[2] = {0}, odd[2] = {0};
        for (size_t t = first; t < count && t < first + run; t++)
            for (int shift = 0; shift < 16; shift += 8) {
                add_by_sign((int8_t)(taps[t].even >> shift), even);
                add_by_sign((int8_t)(taps[t].odd >> shift), odd);
            }
        if (even[0] > MOST || even[1] > MOST || odd[0] > MOST || odd[1] > MOST)
            return false;
    }
    return true;
}

/* The longest runs that fit when all are as long. 0: not even a tap does. */
static size_t find_run(const struct i4q_depthwise_tap *taps, size_t count)
{
    size_t runs = 1;
    while (runs <= count && !runs_fit(taps, count, i4q_div_up(count, runs)))
        runs++;
    return runs <= count ? i4q_div_up(count, runs) : 0;
}

static bool pack_output(struct i4q_conv *conv, const int16_t *weights, size_t o)
{
    const struct i4q_depthwise_packed *packed = conv->packed;
    struct i4q_depthwise_tap *taps = packed->taps + o * packed->count;
    for (size_t t = 0; t < packed->count; t++)
        taps[t] = make_tap(conv, weights + t / packed->per_row * conv->shape.kernel[1], t % packed->per_row);
    packed->sums[o] = 0;
    for (size_t k = 0; k < conv->weights; k++)
        packed->sums[o] += weights[k];
    size_t run = find_run(taps, packed->count);
    packed->runs[o] = (uint16_t)run;
    return run > 0;
}

static bool pack_outputs(struct i4q_conv *conv, const void *codes, int16_t *weights)
{
    for (size_t o = 0; o < conv->shape.outputs; o++) {
        i4q_conv_row(conv, codes, o, weights);
        if (!pack_output(conv, weights, o))
            return false;
    }
    return true;
}

static struct i4q_depthwise_packed *allocate(struct i4q_conv *conv, bool single)
{
    const struct i4q_conv_shape *shape = &conv->shape;
    size_t across = shape->kernel[1],
           per_row = shape->strides[1] == 1 ? across / 2 + 1 : i4q_div_up(across, 2);
    struct i4q_depthwise_packed packed = {.single = single, .per_row = single ? across : per_row};
    packed.count = packed.per_row * shape->kernel[0];
    conv->packed_bytes = sizeof packed + shape->outputs * (sizeof *packed.sums + sizeof *packed.runs +
                                                           packed.count * sizeof *packed.taps);
    struct i4q_depthwise_packed *block = malloc(conv->packed_bytes);
    if (!block)
        return NULL;
    packed.sums = (int32_t *)(void *)(block + 1);
    packed.taps = (struct i4q_depthwise_tap *)(void *)(packed.sums + shape->outputs);
    packed.runs = (uint16_t *)(void *)(packed.taps + shape->outputs * packed.count);
    *block = packed;
    return block;
}

static bool pack_as(struct i4q_conv *conv, const void *codes, bool single, int16_t *weights)
{
    free(conv->packed);
    conv->packed = allocate(conv, single);
    return conv->packed && pack_outputs(conv, codes, weights);
}

/* In pairs if that can be. */
bool i4q_depthwise_pack(struct i4q_conv *conv, const void *codes, struct i4q_error *error)
{
    int16_t *weights = malloc(conv->weights * sizeof *weights);
    bool apart = conv->shape.kernel[1] > 1 && conv->shape.dilations[1] > 1;
    bool done =
        weights && ((!apart && pack_as(conv, codes, false, weights)) || pack_as(conv, codes, true, weights));
    free(weights);
    return done || i4q_fail_memory(error);
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/reader.h"

#include "base/bits.h"
#include "base/half.h"
#include "onnx/node.h"
#include "onnx/tensor.h"

#include <math.h>
#include <string.h>

enum { TILE = 4096 };

/* ---- the layout of scales */

static size_t product(const int64_t *dims, size_t from, size_t to)
{
    size_t result = 1;
    for (size_t i = from; i < to; i++)
        result *= (size_t)dims[i]; /* of a tensor whose size was checked */
    return result;
}

static bool misfit(const struct i4q_storage *storage, const char *what, const Onnx__TensorProto *tensor,
                   struct i4q_error *error)
{
    return i4q_fail(error, I4Q_MODEL, "%s '%s' does not fit the shape of '%s'", what, i4q_text(tensor->name),
                    i4q_text(storage->codes->name));
}

/* Blocks of DequantizeLinear: the scale has the rank of the codes, and their dimensions but along the axis.
 */
static bool fit_blocks(const struct i4q_storage *storage, struct i4q_stored *stored, struct i4q_error *error)
{
    const Onnx__TensorProto *codes = storage->codes, *scale = storage->scale;
    size_t axis = (size_t)storage->axis;
    bool fits = scale->n_dims == codes->n_dims && axis < codes->n_dims;
    for (size_t i = 0; fits && i < codes->n_dims; i++)
        fits = i == axis || scale->dims[i] == codes->dims[i];
    if (!fits || scale->dims[axis] == 0)
        return misfit(storage, "scale", scale, error);
    size_t dim = (size_t)codes->dims[axis], blocks = (size_t)scale->dims[axis];
    size_t block = storage->block > 0 ? (size_t)storage->block : i4q_div_up(dim, blocks);
    if (!block || i4q_div_up(dim, block) != blocks)
        return misfit(storage, "scale", scale, error);
    stored->channels = dim;
    stored->inner = stored->step = product(codes->dims, axis + 1, codes->n_dims);
    stored->block = block;
    stored->blocks = blocks;
    return true;
}

/* One scale for each index along the axis. */
static bool fit_channels(const struct i4q_storage *storage, struct i4q_stored *stored,
                         struct i4q_error *error)
{
    bool packed = storage->packed_bits; /* codes that have no shape of their own */
    const int64_t *dims = packed ? storage->dims : storage->codes->dims;
    size_t rank = packed ? storage->rank : storage->codes->n_dims, axis = (size_t)storage->axis;
    if (axis >= rank || (size_t)dims[axis] != stored->scale.count)
        return misfit(storage, "scale", storage->scale, error);
    stored->channels = (size_t)dims[axis];
    stored->inner = product(dims, axis + 1, rank);
    stored->blocks = 0; /* outer dimensions do not matter */
    return true;
}

/* [channels, blocks, 1] against [channels, blocks, block] */
static bool fit_cube(const struct i4q_storage *storage, struct i4q_stored *stored, struct i4q_error *error)
{
    const int64_t *codes = storage->codes->dims, *scale = storage->scale->dims;
    if (codes[0] != scale[0] || codes[1] != scale[1])
        return misfit(storage, "scale", storage->scale, error);
    stored->channels = stored->scale.count;
    stored->inner = (size_t)codes[2];
    stored->blocks = 0;
    return true;
}

static bool fit_scale(const struct i4q_storage *storage, struct i4q_stored *stored, struct i4q_error *error)
{
    stored->channels = stored->block = stored->step = 1;
    stored->inner = stored->codes.count;
    if (!stored->scale.type || storage->granularity == I4Q_PER_TENSOR)
        return true;
    if (storage->axis < 0)
        return misfit(storage, "scale", storage->scale, error);
    if (storage->granularity == I4Q_PER_CHANNEL)
        return fit_channels(storage, stored, error);
    return storage->is_dequantize ? fit_blocks(storage, stored, error) : fit_cube(storage, stored, error);
}

static bool same_dims(const Onnx__TensorProto *a, const Onnx__TensorProto *b)
{
    return a->n_dims == b->n_dims &&
           (!a->n_dims || memcmp(a->dims, b->dims, a->n_dims * sizeof *a->dims) == 0);
}

static bool fit_zero_point(const struct i4q_storage *storage, const struct i4q_stored *stored,
                           struct i4q_error *error)
{
    const Onnx__TensorProto *zero = storage->zero_point;
    if (!stored->zero_point.type || !stored->scale.type)
        return true;
    bool fits;
    if (storage->is_dequantize)
        fits =
            stored->zero_point.count == stored->scale.count && zero->data_type == storage->codes->data_type;
    else
        fits = stored->zero_point.count == 1 || same_dims(zero, storage->scale);
    return fits || misfit(storage, "zero point", zero, error);
}

/* The bytes of packed codes count as the codes that are in them. */
static bool unpack(const struct i4q_storage *storage, struct i4q_numbers *codes, struct i4q_error *error)
{
    size_t needed = i4q_bits_bytes(storage->count, storage->packed_bits);
    if (needed != codes->count)
        return i4q_fail(error, I4Q_MODEL, "'%s' has %zu bytes, its %zu codes need %zu",
                        i4q_text(storage->codes->name), codes->count, storage->count, needed);
    codes->bits = storage->packed_bits;
    codes->count = storage->count;
    return true;
}

/* What cannot be decoded counts as nothing that is stored. */
static void open_origin(const struct i4q_origin *origin, struct i4q_stored *stored)
{
    const struct i4q_tensor *tensor = &origin->tensor;
    *stored = (struct i4q_stored){0};
    if (origin->fault)
        return;
    *stored = (struct i4q_stored){
        .codes = {.type = i4q_dtype_find(i4q_origin_is_signed(origin) ? I4Q_TYPE(INT8) : I4Q_TYPE(UINT8)),
                  .bits = i4q_origin_width(origin),
                  .count = tensor->count},
        .scale = origin->scale.numbers,
        .zero_point = origin->zero.numbers,
        .channels = (size_t)tensor->dims[origin->axis],
        .inner = product(tensor->dims, origin->axis + 1, tensor->rank),
        .block = 1,
        .step = 1,
        .half = origin->half,
        .origin = origin,
    };
}

bool i4q_stored_open(struct i4q_arena *arena, const struct i4q_storage *storage, struct i4q_stored *stored,
                     struct i4q_error *error)
{
    struct i4q_tensor unsound;
    *stored = (struct i4q_stored){0};
    if (storage->unsound && !i4q_tensor_describe(storage->unsound, &unsound, error))
        return false;
    if (!i4q_numbers_open(arena, storage->codes, &stored->codes, error) ||
        !i4q_numbers_open(arena, storage->scale, &stored->scale, error) ||
        !i4q_numbers_open(arena, storage->zero_point, &stored->zero_point, error))
        return false;
    if (!stored->codes.type)
        return true;
    if (storage->origin) {
        open_origin(storage->origin, stored);
        return true;
    }
    if (storage->packed_bits && !unpack(storage, &stored->codes, error))
        return false;
    if (stored->scale.type && !i4q_numbers_are_floats(&stored->scale))
        return i4q_fail(error, I4Q_MODEL, "scale '%s' is not of a float type",
                        i4q_text(storage->scale->name));
    stored->half = stored->scale.type && stored->scale.type->type == I4Q_TYPE(FLOAT16) && !storage->widened;
    return fit_scale(storage, stored, error) && fit_zero_point(storage, stored, error);
}

static size_t count_bad(const struct i4q_numbers *numbers, bool positive)
{
    size_t bad = 0;
    for (size_t i = 0; numbers->type && i4q_numbers_are_floats(numbers) && i < numbers->count; i++) {
        double number = i4q_number(numbers, i);
        bad += !(isfinite(number) && (number > 0 || !positive));
    }
    return bad;
}

bool i4q_stored_check(const struct i4q_storage *storage, const struct i4q_stored *stored,
                      struct i4q_error *error)
{
    bool positive = storage->is_dequantize;
    size_t scales = count_bad(&stored->scale, positive), zeros = count_bad(&stored->zero_point, false);
    if (scales)
        return i4q_fail(error, I4Q_MODEL, "scale '%s': %zu of %zu values are not finite%s",
                        i4q_text(storage->scale->name), scales, stored->scale.count,
                        positive ? " and positive" : "");
    return !zeros || i4q_fail(error, I4Q_MODEL, "zero point '%s': %zu of %zu values are not finite",
                              i4q_text(storage->zero_point->name), zeros, stored->zero_point.count);
}

static size_t scale_index(const struct i4q_stored *stored, size_t i)
{
    size_t outer = i / stored->inner / stored->channels, channel = i / stored->inner % stored->channels;
    return (outer * stored->blocks + channel / stored->block) * stored->step +
           i % stored->inner % stored->step;
}

/* ---- elements */

double i4q_stored_zero(const struct i4q_stored *stored, size_t i)
{
    if (!stored->zero_point.type)
        return 0;
    return i4q_number(&stored->zero_point, stored->zero_point.count == 1 ? 0 : scale_index(stored, i));
}

/* How many elements from i on have its scale, as far as they follow each other. */
static size_t run_length(const struct i4q_stored *stored, size_t i)
{
    if (stored->step > 1)
        return 1;
    if (stored->block == 1)
        return stored->inner - i % stored->inner;
    size_t channel = i / stored->inner % stored->channels, left = stored->channels - channel;
    size_t block = stored->block - channel % stored->block;
    return (left < block ? left : block) * stored->inner - i % stored->inner;
}

void i4q_stored_codes(const struct i4q_stored *stored, const struct i4q_kernels *kernels, size_t start,
                      size_t n, int16_t *codes)
{
    const struct i4q_numbers *numbers = &stored->codes;
    const uint8_t *data = numbers->payload.data;
    int8_t tile[TILE];
    if (stored->origin) {
        i4q_origin_codes(stored->origin, start, n, codes);
        return;
    }
    if (numbers->bits == 8 * sizeof *codes) {
        memcpy(codes, data + start * sizeof *codes, n * sizeof *codes);
        return;
    }
    data += i4q_bits_bytes(start, numbers->bits);
    if (numbers->bits == 8)
        memcpy(tile, data, n);
    else
        kernels->unpack(data, n, numbers->bits, tile);
    int mask = numbers->type->kind == I4Q_DTYPE_SIGNED ? -1 : (1 << numbers->bits) - 1;
    for (size_t i = 0; i < n; i++)
        codes[i] = (int16_t)(tile[i] & mask);
}

static void widen(const struct i4q_stored *stored, const struct i4q_kernels *kernels, size_t start, size_t n,
                  float *numbers)
{
    int16_t codes[TILE];
    bool floats = i4q_numbers_are_floats(&stored->codes);
    if (!floats)
        i4q_stored_codes(stored, kernels, start, n, codes);
    for (size_t i = 0; i < n; i++)
        numbers[i] = floats ? (float)i4q_number(&stored->codes, start + i) : codes[i];
}

void i4q_stored_decode(const struct i4q_stored *stored, const struct i4q_kernels *kernels, size_t start,
                       size_t n, float *weights)
{
    if (stored->origin) {
        i4q_origin_values(stored->origin, start, n, weights);
        return;
    }
    widen(stored, kernels, start, n, weights);
    for (size_t i = 0, run; stored->scale.type && i < n; i += run) {
        float scale = (float)i4q_number(&stored->scale, scale_index(stored, start + i));
        float zero = (float)i4q_stored_zero(stored, start + i);
        run = run_length(stored, start + i);
        run = run < n - i ? run : n - i;
        for (size_t k = i; k < i + run; k++)
            weights[k] = (weights[k] - zero) * scale;
    }
    if (stored->half)
        i4q_half_round(weights, n);
}

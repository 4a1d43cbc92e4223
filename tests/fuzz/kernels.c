// SPDX-License-Identifier: Apache-2.0
/* Every kernel set that this CPU can run gives the bytes of the scalar one. The first bytes of an input say
 * how the rest, the elements, is placed in memory and what is done with it. */
#include "fuzz.h"

#include "kernels/sets.h"

#include <math.h>
#include <string.h>

enum { SLACK = 64, FILL = 0xa5 };

/* What is worked on. */
struct work {
    const uint8_t *elements; /* at `offset` in a block that ends where they end */
    uint8_t *block;
    size_t bytes, offset;
    float scale; /* finite and positive */
    int qmax, zero;
};

/* Output of the one set and of the other, with bytes before and behind that must stay. */
struct outputs {
    uint8_t *blocks[2];
    size_t size;
};

static float make_finite(float value)
{
    return isfinite(value) ? value : 0.75f;
}

/* Header: offset, qmax, zero, unused, scale. */
static struct work make_work(const uint8_t *data, size_t size)
{
    enum { HEADER = 8 };
    uint8_t header[HEADER] = {0};
    struct work work = {0};
    memcpy(header, data, size < HEADER ? size : HEADER);
    work.bytes = size < HEADER ? 0 : size - HEADER;
    work.offset = header[0] % 32;
    work.qmax = header[1] % 127 + 1;
    work.zero = (int8_t)header[2];
    memcpy(&work.scale, header + 4, sizeof work.scale);
    work.scale = fabsf(make_finite(work.scale));
    work.scale = work.scale == 0 ? 1 : work.scale;
    work.block = malloc(work.offset + work.bytes + 1); /* never nothing */
    REQUIRE(work.block);
    memmove(work.block + 1 + work.offset, data + size - work.bytes, work.bytes);
    work.elements = work.block + 1 + work.offset;
    return work;
}

/* `alignment` is that of the element type, which outputs need. */
static struct outputs make_outputs(const struct work *work, size_t bytes, size_t alignment, void **a,
                                   void **b)
{
    size_t place = SLACK + work->offset - work->offset % alignment;
    struct outputs outputs = {.size = place + bytes + SLACK};
    for (int i = 0; i < 2; i++) {
        outputs.blocks[i] = malloc(outputs.size);
        REQUIRE(outputs.blocks[i]);
        memset(outputs.blocks[i], FILL, outputs.size);
    }
    *a = outputs.blocks[0] + place;
    *b = outputs.blocks[1] + place;
    return outputs;
}

static void require_same(struct outputs *outputs)
{
    REQUIRE(memcmp(outputs->blocks[0], outputs->blocks[1], outputs->size) == 0);
    free(outputs->blocks[0]);
    free(outputs->blocks[1]);
}

/* ---- the kernels, all elements of each kind */

static void compare_absmax(const struct i4q_kernels *set, const struct i4q_kernels *scalar,
                           const struct work *work)
{
    size_t n = work->bytes / sizeof(float);
    float a = set->absmax(work->elements, n), b = scalar->absmax(work->elements, n);
    REQUIRE(isfinite(b) ? memcmp(&a, &b, sizeof a) == 0 : !isfinite(a));
}

/* A grid of `qmax` codes around the zero point, as far as there are as many. */
static struct i4q_grid make_grid(const struct work *work, int least, int most)
{
    int zero = work->zero < least ? least : work->zero > most ? most : work->zero;
    int low = zero - work->qmax, high = zero + work->qmax;
    return (struct i4q_grid){work->scale, zero, low < least ? least : low, high > most ? most : high};
}

static void compare_quantize(const struct i4q_kernels *set, const struct i4q_kernels *scalar,
                             const struct work *work)
{
    size_t n = work->bytes / sizeof(float);
    void *a, *b;
    struct outputs outputs = make_outputs(work, n, 1, &a, &b);
    struct i4q_grid grid = make_grid(work, INT8_MIN, INT8_MAX);
    set->quantize(work->elements, n, &grid, a);
    scalar->quantize(work->elements, n, &grid, b);
    require_same(&outputs);
}

static bool same_number(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void require_same_sums(const struct i4q_error_sums *a, const struct i4q_error_sums *b)
{
    REQUIRE(same_number(a->signal, b->signal) && same_number(a->noise, b->noise));
    REQUIRE(same_number(a->drift, b->drift) && same_number((double)a->max_error, (double)b->max_error));
}

/* The fused kernel, and the extent that its grid comes from. */
static void compare_encode(const struct i4q_kernels *set, const struct i4q_kernels *scalar,
                           const struct work *work)
{
    size_t n = work->bytes / sizeof(float) < I4Q_RUN ? work->bytes / sizeof(float) : I4Q_RUN;
    void *a, *b;
    struct outputs outputs = make_outputs(work, (n + 1) / 2, 1, &a, &b);
    struct i4q_grid grid = make_grid(work, -8, 7);
    struct i4q_error_sums x = {0}, y = {0};
    float min[2], max[2];
    if (i4q_encode4_takes(grid.scale)) {
        set->encode4(work->elements, n, &grid, a, &x);
        scalar->encode4(work->elements, n, &grid, b, &y);
    }
    require_same(&outputs);
    require_same_sums(&x, &y);
    set->range(work->elements, n, &min[0], &max[0]);
    scalar->range(work->elements, n, &min[1], &max[1]);
    REQUIRE(min[0] == min[1] && max[0] == max[1]);
}

static void compare_packing(const struct i4q_kernels *set, const struct i4q_kernels *scalar,
                            const struct work *work)
{
    void *a, *b;
    struct outputs outputs = make_outputs(work, (work->bytes + 1) / 2, 1, &a, &b);
    set->pack4((const int8_t *)work->elements, work->bytes, a);
    scalar->pack4((const int8_t *)work->elements, work->bytes, b);
    require_same(&outputs);
    /* An odd and an even number of codes from the same bytes. */
    size_t n = 2 * work->bytes - (work->bytes && work->qmax % 2);
    outputs = make_outputs(work, n, 1, &a, &b);
    set->unpack4(work->elements, n, a);
    scalar->unpack4(work->elements, n, b);
    require_same(&outputs);
}

static void compare_streams(const struct i4q_kernels *set, const struct i4q_kernels *scalar,
                            const struct work *work)
{
    void *a, *b;
    for (unsigned bits = 2; bits <= 6; bits++) {
        struct outputs outputs = make_outputs(work, (work->bytes * bits + 7) / 8, 1, &a, &b);
        set->pack((const int8_t *)work->elements, work->bytes, bits, a);
        scalar->pack((const int8_t *)work->elements, work->bytes, bits, b);
        require_same(&outputs);
        size_t n = 8 * work->bytes / bits;
        outputs = make_outputs(work, n, 1, &a, &b);
        set->unpack(work->elements, n, bits, a);
        scalar->unpack(work->elements, n, bits, b);
        require_same(&outputs);
    }
}

static void compare_decoding(const struct i4q_kernels *set, const struct i4q_kernels *scalar,
                             const struct work *work)
{
    void *a, *b;
    struct outputs outputs = make_outputs(work, work->bytes * sizeof(float), sizeof(float), &a, &b);
    set->dequantize((const int8_t *)work->elements, work->bytes, work->scale, work->zero, a);
    scalar->dequantize((const int8_t *)work->elements, work->bytes, work->scale, work->zero, b);
    require_same(&outputs);
    size_t halves = work->bytes / sizeof(uint16_t);
    outputs = make_outputs(work, halves * sizeof(float), sizeof(float), &a, &b);
    set->widen16(work->elements, halves, a);
    scalar->widen16(work->elements, halves, b);
    require_same(&outputs);
}

/* The first half of the elements as weights, the second as what they were decoded to. */
static void compare_measure(const struct i4q_kernels *set, const struct i4q_kernels *scalar,
                            const struct work *work)
{
    size_t n = work->bytes / sizeof(float) / 2;
    float *decoded = malloc(n * sizeof *decoded + 1);
    REQUIRE(decoded);
    memcpy(decoded, work->elements + n * sizeof *decoded, n * sizeof *decoded);
    struct i4q_error_sums a = {.max_error = 0.25f, .signal = 1}, b = a;
    n = n < I4Q_RUN ? n : I4Q_RUN;
    float unit = i4q_error_unit(scalar->absmax(work->elements, n));
    set->measure(work->elements, decoded, n, unit, &a);
    scalar->measure(work->elements, decoded, n, unit, &b);
    require_same_sums(&a, &b);
    free(decoded);
}

/* Quantizing and measuring take finite weights only. */
static void make_elements_finite(struct work *work)
{
    for (size_t i = 0; i < work->bytes / sizeof(float); i++) {
        uint8_t *at = work->block + 1 + work->offset + i * sizeof(float);
        float value;
        memcpy(&value, at, sizeof value);
        value = make_finite(value);
        memcpy(at, &value, sizeof value);
    }
}

static void compare(const struct i4q_kernels *set, const struct i4q_kernels *scalar, const uint8_t *data,
                    size_t size)
{
    struct work work = make_work(data, size);
    compare_absmax(set, scalar, &work);
    compare_packing(set, scalar, &work);
    compare_streams(set, scalar, &work);
    compare_decoding(set, scalar, &work);
    make_elements_finite(&work);
    compare_quantize(set, scalar, &work);
    compare_encode(set, scalar, &work);
    compare_measure(set, scalar, &work);
    free(work.block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_error error = {0};
    const struct i4q_kernels *scalar = i4q_kernels_choose("scalar", &error);
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++)
        if (*set != scalar && i4q_kernels_supported(*set))
            compare(*set, scalar, data, size);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "kernel_checks.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARDED = 1 << 16 };

static const size_t sizes[] = {0,  1,  2,  3,  5,  7,  8,  9,   13,  15,  16,  17,  23,  31,   32,  33,
                               37, 47, 48, 63, 64, 65, 97, 127, 128, 129, 251, 256, 257, 1021, 4093};

static const struct i4q_grid grids[] = {
    {1.0f, 0, -127, 127},       {0.3f, 0, -7, 7},       {0x1p-130f, 8, 1, 15}, {1e20f, 0, -8, 7},
    {0x1.99999ap-4f, 3, -8, 7}, {0x1.8p-3f, 15, 0, 15}, {0.3f, 0, 0, 15},      {7.0f, -8, -8, 7},
};

/* Memory that ends at a page nobody may touch. */
struct guarded {
    uint8_t *start, *end;
};

struct check {
    const struct i4q_kernels *set, *scalar;
    struct guarded source, target, reference;
    uint32_t seed;
    bool failed;
    char *message;
    size_t size;
};

static void fail(struct check *check, const char *format, ...) I4Q_PRINTF(2, 3);

static void fail(struct check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!check->failed)
        vsnprintf(check->message, check->size, format, arguments);
    va_end(arguments);
    check->failed = true;
}

static struct guarded make_guarded(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *start = mmap(NULL, GUARDED + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + GUARDED, page, PROT_NONE) != 0)
        abort();
    return (struct guarded){start, start + GUARDED};
}

static void free_guarded(const struct guarded *guarded)
{
    munmap(guarded->start, GUARDED + (size_t)sysconf(_SC_PAGESIZE));
}

/* xorshift32 (Marsaglia 2003): the same numbers on every machine. */
static uint32_t next_random(struct check *check)
{
    check->seed ^= check->seed << 13;
    check->seed ^= check->seed >> 17;
    check->seed ^= check->seed << 5;
    return check->seed;
}

static float random_weight(struct check *check)
{
    static const float special[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-126f, 0.5f,  -0.5f, 1.5f,
                                    2.5f, -2.5f, 6.5f,      -7.5f,      1e30f, 7.0f,  -1e30f};
    if (next_random(check) % 4 == 0)
        return special[next_random(check) % (sizeof special / sizeof *special)];
    return (float)((int32_t)next_random(check)) * 0x1p-28f;
}

/* Weights so that the last one ends `slack` bytes before the forbidden page. */
static uint8_t *fill_weights(struct check *check, size_t n, size_t slack)
{
    uint8_t *weights = check->source.end - slack - n * sizeof(float);
    for (size_t i = 0; i < n; i++) {
        float weight = random_weight(check);
        memcpy(weights + i * sizeof weight, &weight, sizeof weight);
    }
    return weights;
}

static const int8_t *fill_codes(struct check *check, size_t n)
{
    uint8_t *codes = check->source.end - n;
    for (size_t i = 0; i < n; i++)
        codes[i] = (uint8_t)((int)(next_random(check) % 16) - 8);
    return (const int8_t *)codes;
}

/* Two outputs of the same size, each ending at its forbidden page, filled alike; they are compared with what
 * is in front of them, for stray bytes. */
static void prepare(const struct check *check, size_t bytes, uint8_t **a, uint8_t **b)
{
    memset(check->target.start, 0xa5, GUARDED);
    memset(check->reference.start, 0xa5, GUARDED);
    *a = check->target.end - bytes;
    *b = check->reference.end - bytes;
}

static void expect_same(struct check *check, const char *kernel, size_t n, size_t slack)
{
    if (memcmp(check->target.start, check->reference.start, GUARDED) != 0)
        fail(check, "%s: %s differs from the scalar one for n = %zu, slack %zu", check->set->name, kernel, n,
             slack);
}

static void expect_same_sums(struct check *check, const char *kernel, size_t n,
                             const struct i4q_error_sums *a, const struct i4q_error_sums *b)
{
    if (memcmp(&a->signal, &b->signal, sizeof a->signal) || memcmp(&a->noise, &b->noise, sizeof a->noise) ||
        memcmp(&a->drift, &b->drift, sizeof a->drift) ||
        memcmp(&a->max_error, &b->max_error, sizeof a->max_error))
        fail(check, "%s: %s differs from the scalar one for n = %zu: %a %a %a, %a %a %a", check->set->name,
             kernel, n, a->signal, a->noise, (double)a->max_error, b->signal, b->noise, (double)b->max_error);
}

static void check_codes(struct check *check, size_t n, size_t slack)
{
    uint8_t *a, *b;
    const void *weights = fill_weights(check, n, slack);
    for (size_t g = 0; g < sizeof grids / sizeof *grids; g++) {
        prepare(check, n, &a, &b);
        check->set->quantize(weights, n, &grids[g], (int8_t *)a);
        check->scalar->quantize(weights, n, &grids[g], (int8_t *)b);
        expect_same(check, "quantize", n, slack);
    }
}

static void check_encoding(struct check *check, size_t n, size_t slack)
{
    uint8_t *a, *b;
    const void *weights = fill_weights(check, n, slack);
    for (size_t g = 1; g < sizeof grids / sizeof *grids; g++) {
        struct i4q_error_sums x = {0.5, 0.25, 0.75, 0.125f}, y = x;
        if (!i4q_encode4_takes(grids[g].scale))
            continue;
        prepare(check, (n + 1) / 2, &a, &b);
        check->set->encode4(weights, n, &grids[g], a, &x);
        check->scalar->encode4(weights, n, &grids[g], b, &y);
        expect_same(check, "encode4", n, slack);
        expect_same_sums(check, "encode4", n, &x, &y);
    }
}

enum { TIES = 16, APART = 64, SCALES = 200 };

/* Weights halfway between two steps, or `ulps` beside, and zeros between: no vector has two of them. */
static void fill_ties(uint8_t *weights, float scale, int ulps)
{
    memset(weights, 0, sizeof(float[2 * TIES * APART]));
    for (int tie = -TIES; tie < TIES; tie++) {
        float weight = ((float)tie + 0.5f) * scale;
        for (int ulp = 0; ulp < abs(ulps); ulp++)
            weight = nextafterf(weight, ulps < 0 ? -INFINITY : INFINITY);
        size_t place = (size_t)(tie + TIES) * APART + (size_t)(tie & 31);
        memcpy(weights + place * sizeof weight, &weight, sizeof weight);
    }
}

/* Where a product with the reciprocal of the scale gives other codes than the quotient. */
static void check_ties(struct check *check, int ulps)
{
    const size_t n = (size_t)2 * TIES * APART;
    uint8_t *a, *b, *weights = check->source.end - n * sizeof(float);
    for (int round = 0; round < SCALES; round++) {
        int exponent = (int)(next_random(check) % 79) - 40; /* up to 2^39 */
        float scale = ldexpf(1 + (float)(next_random(check) >> 9) * 0x1p-23f, exponent);
        const struct i4q_grid symmetric = {scale, 0, -7, 7};
        const struct i4q_grid shifted = {scale, (int)(next_random(check) % 16), 0, 15};
        const struct i4q_grid *grid = round % 2 ? &symmetric : &shifted;
        struct i4q_error_sums x = {0}, y = {0};
        fill_ties(weights, scale, ulps);
        prepare(check, n / 2, &a, &b);
        check->set->encode4(weights, n, grid, a, &x);
        check->scalar->encode4(weights, n, grid, b, &y);
        expect_same(check, "encode4 of ties", n, 0);
        expect_same_sums(check, "encode4 of ties", n, &x, &y);
    }
}

/* The fused kernel is what its parts are. */
static void check_fusion(struct check *check, size_t n)
{
    static int8_t codes[I4Q_RUN];
    static float decoded[I4Q_RUN];
    uint8_t *a, *b;
    const struct i4q_grid *grid = &grids[4];
    const void *weights = fill_weights(check, n, 0);
    struct i4q_error_sums x = {0}, y = {0};
    prepare(check, (n + 1) / 2, &a, &b);
    check->set->encode4(weights, n, grid, a, &x);
    check->set->quantize(weights, n, grid, codes);
    check->set->pack4(codes, n, b);
    check->set->dequantize(codes, n, grid->scale, grid->zero, decoded);
    check->set->measure(weights, decoded, n, 1, &y);
    expect_same(check, "encode4 against its parts", n, 0);
    expect_same_sums(check, "encode4 against its parts", n, &x, &y);
}

static void check_packing(struct check *check, size_t n)
{
    uint8_t *a, *b;
    const int8_t *codes = fill_codes(check, n);
    prepare(check, (n + 1) / 2, &a, &b);
    check->set->pack4(codes, n, a);
    check->scalar->pack4(codes, n, b);
    expect_same(check, "pack4", n, 0);
    uint8_t *packed = check->source.end - (n + 1) / 2;
    memmove(packed, b, (n + 1) / 2);
    prepare(check, n, &a, &b);
    check->set->unpack4(packed, n, (int8_t *)a);
    check->scalar->unpack4(packed, n, (int8_t *)b);
    expect_same(check, "unpack4", n, 0);
}

static void check_streams(struct check *check, size_t n)
{
    for (unsigned bits = 2; bits <= 6; bits++) {
        uint8_t *a, *b;
        size_t size = (n * bits + 7) / 8;
        const int8_t *codes = fill_codes(check, n);
        prepare(check, size, &a, &b);
        check->set->pack(codes, n, bits, a);
        check->scalar->pack(codes, n, bits, b);
        expect_same(check, "pack", n, 0);
        if (bits == 4) {
            check->scalar->pack4(codes, n, a);
            expect_same(check, "pack of 4 bits against pack4", n, 0);
        }
        uint8_t *packed = check->source.end - size;
        memmove(packed, b, size);
        prepare(check, n, &a, &b);
        check->set->unpack(packed, n, bits, (int8_t *)a);
        check->scalar->unpack(packed, n, bits, (int8_t *)b);
        expect_same(check, "unpack", n, 0);
    }
}

static void check_decoding(struct check *check, size_t n)
{
    uint8_t *a, *b;
    const int8_t *codes = fill_codes(check, n);
    prepare(check, n * sizeof(float), &a, &b);
    check->set->dequantize(codes, n, 0.1f, 3, (float *)(void *)a);
    check->scalar->dequantize(codes, n, 0.1f, 3, (float *)(void *)b);
    expect_same(check, "dequantize", n, 0);
    uint8_t *halves = check->source.end - 2 * n;
    for (size_t i = 0; i < 2 * n; i++)
        halves[i] = (uint8_t)next_random(check);
    prepare(check, n * sizeof(float), &a, &b);
    check->set->widen16(halves, n, (float *)(void *)a);
    check->scalar->widen16(halves, n, (float *)(void *)b);
    expect_same(check, "widen16", n, 0);
}

static void check_measures(struct check *check, size_t n, size_t slack)
{
    static float decoded[I4Q_RUN];
    struct i4q_error_sums a = {3, 2, 1, 0.25f}, b = a;
    const void *weights = fill_weights(check, n, slack);
    for (size_t i = 0; i < n; i++)
        decoded[i] = random_weight(check);
    check->set->measure(weights, decoded, n, 0x1p-100f, &a);
    check->scalar->measure(weights, decoded, n, 0x1p-100f, &b);
    expect_same_sums(check, "measure", n, &a, &b);
    float x[3] = {check->set->absmax(weights, n)}, y[3] = {check->scalar->absmax(weights, n)};
    check->set->range(weights, n, &x[1], &x[2]);
    check->scalar->range(weights, n, &y[1], &y[2]);
    if (memcmp(&x[0], &y[0], sizeof *x) || x[1] != y[1] || x[2] != y[2])
        fail(check, "%s: absmax or range differs from the scalar one for n = %zu: %a %a %a, %a %a %a",
             check->set->name, n, (double)x[0], (double)x[1], (double)x[2], (double)y[0], (double)y[1],
             (double)y[2]);
}

static void check_combining(struct check *check, size_t n)
{
    enum { TERMS = 5 };
    static double rows[TERMS * 128], factors[TERMS * 2];
    uint8_t *a, *b;
    if (n > 100)
        return;
    for (size_t i = 0; i < TERMS * 128; i++)
        rows[i] = (double)random_weight(check) * 0x1.0001p-3;
    for (size_t i = 0; i < TERMS * 2; i++)
        factors[i] = (double)random_weight(check) * 0x1.0001p-3;
    prepare(check, n * sizeof(double), &a, &b);
    memset(a, 0x3f, n * sizeof(double));
    memset(b, 0x3f, n * sizeof(double));
    check->set->combine((double *)(void *)a, n, rows, 128, factors, 2, TERMS);
    check->scalar->combine((double *)(void *)b, n, rows, 128, factors, 2, TERMS);
    expect_same(check, "combine", n, 0);
}

static void check_non_finite(struct check *check, size_t n)
{
    static const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t place = 0; place < n; place++) {
        uint8_t *weights = fill_weights(check, n, 0);
        memcpy(weights + place * sizeof(float), &odd[place % 4], sizeof(float));
        if (isfinite(check->set->absmax(weights, n)))
            fail(check, "%s: absmax overlooks element %zu of %zu", check->set->name, place, n);
    }
}

bool i4q_check_kernels(const struct i4q_kernels *set, char *message, size_t size)
{
    struct i4q_error error = {0};
    struct check check = {.set = set,
                          .scalar = i4q_kernels_choose("scalar", &error),
                          .source = make_guarded(),
                          .target = make_guarded(),
                          .reference = make_guarded(),
                          .seed = 1,
                          .message = message,
                          .size = size};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t slack = 0; slack < 64; slack += slack < 8 ? 1 : 7) {
            check_codes(&check, sizes[s], slack);
            check_encoding(&check, sizes[s], slack);
            check_measures(&check, sizes[s], slack);
        }
        check_fusion(&check, sizes[s]);
        check_packing(&check, sizes[s]);
        check_streams(&check, sizes[s]);
        check_decoding(&check, sizes[s]);
        check_combining(&check, sizes[s]);
    }
    for (int ulps = -3; ulps <= 3; ulps++)
        check_ties(&check, ulps);
    check_non_finite(&check, 131);
    free_guarded(&check.source);
    free_guarded(&check.target);
    free_guarded(&check.reference);
    return !check.failed;
}

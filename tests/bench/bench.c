// SPDX-License-Identifier: Apache-2.0
/*
 * int4q-bench: what each kernel of each set does with a buffer of floats in the second-level cache and with
 * one in memory, in GB of floats a second on one core, beside memcpy, memset and a plain read of the same
 * buffer. All kernels take turns, and the best of several rounds counts, so that a busy machine hurts them
 * alike.
 */
#include "kernels/sets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, ROWS = 64 };

static const size_t sizes[] = {256 << 10, 256 << 20}; /* bytes of floats */

/* Buffers that all measured functions work on; n floats, as many codes. */
struct buffers {
    const struct i4q_kernels *set;
    float *weights, *decoded;
    int8_t *codes;
    uint8_t *packed;
    size_t n;
};

typedef void work_fn(const struct buffers *b, size_t start, size_t n);

static volatile uint64_t sink; /* keeps results from being optimized away */

static const struct i4q_grid grid = {0.01f, 0, -7, 7};

static void do_memcpy(const struct buffers *b, size_t start, size_t n)
{
    memcpy(b->decoded + start, b->weights + start, n * sizeof(float));
}

static void do_memset(const struct buffers *b, size_t start, size_t n)
{
    memset(b->decoded + start, (int)sink, n * sizeof(float));
}

/* As fast as a read can be: the compiler makes vectors of it, and nothing depends on the order. */
#ifndef __clang__ /* which does so at any level of optimization but none */
__attribute__((optimize("O3")))
#endif
static void
do_read(const struct buffers *b, size_t start, size_t n)
{
    const uint64_t *words = (const void *)(b->weights + start);
    uint64_t lanes[32] = {0};
    for (size_t i = 0; i + 32 <= n / 2; i += 32)
        for (int lane = 0; lane < 32; lane++)
            lanes[lane] |= words[i + (size_t)lane];
    for (int lane = 0; lane < 32; lane++)
        sink |= lanes[lane];
}

static void do_absmax(const struct buffers *b, size_t start, size_t n)
{
    sink += b->set->absmax(b->weights + start, n) > 1;
}

static void do_range(const struct buffers *b, size_t start, size_t n)
{
    float min, max;
    b->set->range(b->weights + start, n, &min, &max);
    sink += max > min;
}

static void do_quantize(const struct buffers *b, size_t start, size_t n)
{
    b->set->quantize(b->weights + start, n, &grid, b->codes + start);
}

static void do_encode4(const struct buffers *b, size_t start, size_t n)
{
    struct i4q_error_sums sums = {0};
    b->set->encode4(b->weights + start, n, &grid, b->packed + start / 2, &sums);
}

/* What the quantizer does with a channel: both passes, the second one from the cache. */
static void do_absmax_encode4(const struct buffers *b, size_t start, size_t n)
{
    do_absmax(b, start, n);
    do_encode4(b, start, n);
}

static void do_pack4(const struct buffers *b, size_t start, size_t n)
{
    b->set->pack4(b->codes + start, n, b->packed + start / 2);
}

static void do_unpack4(const struct buffers *b, size_t start, size_t n)
{
    b->set->unpack4(b->packed + start / 2, n, b->codes + start);
}

static void do_pack3(const struct buffers *b, size_t start, size_t n)
{
    b->set->pack(b->codes + start, n, 3, b->packed + start / 8 * 3);
}

static void do_unpack3(const struct buffers *b, size_t start, size_t n)
{
    b->set->unpack(b->packed + start / 8 * 3, n, 3, b->codes + start);
}

static void do_pack6(const struct buffers *b, size_t start, size_t n)
{
    b->set->pack(b->codes + start, n, 6, b->packed + start / 8 * 6);
}

static void do_unpack6(const struct buffers *b, size_t start, size_t n)
{
    b->set->unpack(b->packed + start / 8 * 6, n, 6, b->codes + start);
}

static void do_dequantize(const struct buffers *b, size_t start, size_t n)
{
    b->set->dequantize(b->codes + start, n, 0.01f, 0, b->decoded + start);
}

/* As `inspect` and `restore` decode: codes stay in the first-level cache. */
static void do_unpack_dequantize(const struct buffers *b, size_t start, size_t n)
{
    b->set->unpack4(b->packed + start / 2, n, b->codes);
    b->set->dequantize(b->codes, n, 0.01f, 0, b->decoded + start);
}

static void do_measure(const struct buffers *b, size_t start, size_t n)
{
    struct i4q_error_sums sums = {0};
    b->set->measure(b->weights + start, b->decoded + start, n, 1, &sums);
}

static void do_widen16(const struct buffers *b, size_t start, size_t n)
{
    b->set->widen16((const uint16_t *)(const void *)b->weights + start, n, b->decoded + start);
}

struct row {
    const char *name;
    work_fn *work;
    const struct i4q_kernels *set;
    double best[sizeof sizes / sizeof *sizes]; /* seconds a float byte */
};

static const struct row plain[] = {
    {.name = "memcpy", .work = do_memcpy},
    {.name = "memset", .work = do_memset},
    {.name = "plain read", .work = do_read},
};

static const struct row kernels[] = {
    {.name = "absmax", .work = do_absmax},
    {.name = "range", .work = do_range},
    {.name = "quantize", .work = do_quantize},
    {.name = "encode4", .work = do_encode4},
    {.name = "absmax+encode4", .work = do_absmax_encode4},
    {.name = "pack4", .work = do_pack4},
    {.name = "unpack4", .work = do_unpack4},
    {.name = "pack, 3 bits", .work = do_pack3},
    {.name = "unpack, 3 bits", .work = do_unpack3},
    {.name = "pack, 6 bits", .work = do_pack6},
    {.name = "unpack, 6 bits", .work = do_unpack6},
    {.name = "dequantize", .work = do_dequantize},
    {.name = "unpack4+dequantize", .work = do_unpack_dequantize},
    {.name = "measure", .work = do_measure},
    {.name = "widen16", .work = do_widen16},
};

/* Of this thread, whatever else runs. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double time_once(const struct row *row, struct buffers *b, size_t bytes)
{
    size_t repeats = (64 << 20) / bytes + 1;
    b->set = row->set;
    double start = now();
    for (size_t r = 0; r < repeats; r++)
        for (size_t i = 0; i < b->n; i += I4Q_RUN)
            row->work(b, i, I4Q_RUN);
    return (now() - start) / (double)(repeats * bytes);
}

static size_t list_rows(struct row *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        rows[count++] = plain[i];
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++)
        for (size_t i = 0; i < sizeof kernels / sizeof *kernels && i4q_kernels_supported(*set); i++) {
            rows[count] = kernels[i];
            rows[count++].set = *set;
        }
    return count;
}

static void measure_rows(struct row *rows, size_t count, struct buffers *b)
{
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        b->n = sizes[s] / sizeof(float);
        for (int round = 0; round < ROUNDS; round++)
            for (size_t i = 0; i < count; i++) {
                double seconds = time_once(&rows[i], b, sizes[s]);
                if (!round || seconds < rows[i].best[s])
                    rows[i].best[s] = seconds;
            }
    }
}

int main(void)
{
    static struct row rows[ROWS];
    size_t bytes = sizes[sizeof sizes / sizeof *sizes - 1], count = list_rows(rows);
    struct buffers b = {.weights = malloc(bytes),
                        .decoded = malloc(bytes),
                        .codes = malloc(bytes / 4),
                        .packed = malloc(bytes / 4)};
    if (!b.weights || !b.decoded || !b.codes || !b.packed)
        return 1;
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        b.weights[i] = (float)((int)((uint32_t)i * 2654435761u >> 8) - (1 << 23)) * (0.07f / (1 << 23));
    memset(b.decoded, 0, bytes);
    memset(b.codes, 0, bytes / 4);
    memset(b.packed, 0, bytes / 4);
    measure_rows(rows, count, &b);
    printf("GB of floats a second on one core; in brackets the ratio to a plain read, and to memset\n");
    printf("%-8s %-19s %28s %28s\n", "set", "kernel", "256 KiB", "256 MiB");
    for (size_t i = 0; i < count; i++) {
        printf("%-8s %-19s", rows[i].set ? rows[i].set->name : "", rows[i].name);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            printf("   %8.1f (%5.2f, %5.2f)", 1e-9 / rows[i].best[s], rows[2].best[s] / rows[i].best[s],
                   rows[1].best[s] / rows[i].best[s]);
        printf("\n");
    }
    free(b.weights);
    free(b.decoded);
    free(b.codes);
    free(b.packed);
    return 0;
}

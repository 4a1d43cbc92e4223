// SPDX-License-Identifier: Apache-2.0
/*
 * int4q-bench-conv [SET]: what Convs of detectors cost on one core, in microseconds: all of it, and how much
 * less it is without each part. Behind that, products and sums of the rest, in GOP/s, and as a share of what
 * a loop of nothing but the set's multiplications does in the same run. All take turns, and the least time of
 * several rounds counts.
 */
#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 25 };

struct layer {
    size_t channels, side, outputs, kernel, stride;
    bool depthwise;
};

#define DEPTHWISE(c, side, kernel, stride)                                                                   \
    {                                                                                                        \
        c, side, c, kernel, stride, true                                                                     \
    }

/* Of YOLOv10n and YOLOv10m at 640 x 640, and of detectors with depthwise Convs of 5 x 5. */
static const struct layer layers[] = {
    {3, 640, 16, 3, 2},       {3, 640, 48, 3, 2},       {16, 320, 32, 3, 2},      {48, 320, 96, 3, 2},
    {192, 80, 192, 3, 2},     {16, 160, 16, 3, 1},      {48, 160, 48, 3, 1},      {64, 80, 64, 3, 1},
    {96, 80, 96, 3, 1},       {192, 40, 192, 3, 1},     {128, 20, 128, 3, 1},     {32, 160, 32, 1, 1},
    {96, 160, 96, 1, 1},      {64, 80, 64, 1, 1},       {192, 80, 192, 1, 1},     {576, 80, 192, 1, 1},
    {384, 40, 384, 1, 1},     {1152, 40, 384, 1, 1},    {128, 20, 256, 1, 1},     {1152, 20, 576, 1, 1},
    DEPTHWISE(64, 80, 3, 1),  DEPTHWISE(128, 40, 3, 1), DEPTHWISE(128, 20, 3, 1), DEPTHWISE(96, 20, 5, 1),
    DEPTHWISE(256, 20, 7, 1), DEPTHWISE(128, 80, 3, 2), DEPTHWISE(128, 40, 3, 2), DEPTHWISE(96, 40, 5, 2),
};

/* ---- loops of multiplications, in registers only */

enum { TURNS = 20000 };

#define TWELVE(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define TURN(text)                                                                                           \
    for (int i = 0; i < TURNS; i++)                                                                          \
    __asm__ volatile(text ::: CLOBBERED)

#if defined(__x86_64__)
#define CLOBBERED                                                                                            \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",        \
        "xmm12", "xmm13", "xmm14"
#define MADDUBS(r) "vpmaddubsw %%ymm13, %%ymm14, %%ymm12\n\tvpaddw %%ymm12, %%ymm" #r ", %%ymm" #r "\n\t"
#define DPBUSD(r)  "%{vex%} vpdpbusd %%ymm13, %%ymm14, %%ymm" #r "\n\t"
#define DPBUSD4(r) "vpdpbusd %%zmm13, %%zmm14, %%zmm" #r "\n\t"

static void loop_avx2(void)
{
    TURN(TWELVE(MADDUBS));
}

static void loop_avxvnni(void)
{
    TURN(TWELVE(DPBUSD));
}

static void loop_avx512vnni(void)
{
    TURN(TWELVE(DPBUSD4));
}
#endif

struct loop {
    const char *set;
    void (*run)(void);
    double operations; /* of a turn */
};

static const struct loop loops[] = {
#if defined(__x86_64__)
    {"avx2", loop_avx2, 12 * 64},
    {"avxvnni", loop_avxvnni, 12 * 64},
    {"avx512vnni", loop_avx512vnni, 12 * 128},
#endif
    {"", NULL, 0},
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time); /* others may be at work, too */
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- a set with something left out */

static void no_range(const float *x, size_t n, struct i4q_conv_range *range)
{
    range->low = -1;
    range->high = 1;
}

static void no_quantize(const float *const x[4], size_t n, const struct i4q_conv_grid *grid, uint8_t *pixels)
{
}

static void no_finish(const int32_t *sums, size_t n, const struct i4q_conv_finish *finish, float *y) {}

static void no_depthwise_quantize(const float *x, size_t n, const struct i4q_conv_grid *grid, bool given,
                                  uint8_t *bytes)
{
}

static void no_depthwise_finish(const int16_t *sums, size_t rows, size_t width, size_t pitch,
                                const struct i4q_conv_finish *finish, float *y)
{
}

enum variant { ALL, NO_RANGE, NO_QUANTIZE, NO_FINISH, VARIANTS };

struct variants {
    struct i4q_conv_kernels sets[VARIANTS];
    struct i4q_dense_kernels dense;
    struct i4q_depthwise_kernels depthwise[2];
};

static void make_variants(const struct i4q_conv_kernels *set, struct variants *variants)
{
    for (int i = 0; i < VARIANTS; i++)
        variants->sets[i] = *set;
    variants->dense = *set->dense;
    variants->dense.quantize = no_quantize;
    variants->depthwise[0] = variants->depthwise[1] = *set->depthwise;
    variants->depthwise[0].quantize = no_depthwise_quantize;
    variants->depthwise[1].finish = no_depthwise_finish;
    variants->sets[NO_RANGE].range = no_range;
    variants->sets[NO_QUANTIZE].dense = &variants->dense;
    variants->sets[NO_QUANTIZE].depthwise = &variants->depthwise[0];
    variants->sets[NO_FINISH].finish = no_finish;
    variants->sets[NO_FINISH].depthwise = &variants->depthwise[1];
}

/* ---- a layer */

struct work {
    struct i4q_conv *conv[VARIANTS];
    struct i4q_conv_input input;
    float *y;
    void *scratch;
    double operations, best[VARIANTS];
};

static const struct i4q_conv_workers alone = {.workers = 1};

static struct work prepare(const struct layer *layer, const struct i4q_conv_kernels *sets)
{
    size_t groups = layer->depthwise ? layer->channels : 1, out = layer->side / layer->stride;
    size_t weights = layer->channels / groups * layer->kernel * layer->kernel, pad = layer->kernel / 2;
    size_t inputs = layer->channels * layer->side * layer->side;
    struct i4q_error error = {0};
    struct work work = {.operations = 2.0 * (double)(weights * layer->outputs * out * out)};
    uint8_t *codes = malloc(weights * layer->outputs / 2 + 1);
    float *scales = malloc(layer->outputs * sizeof *scales), *x = malloc(inputs * sizeof *x);
    for (size_t i = 0; i < weights * layer->outputs / 2;
         i++) /* sums of two, so that small codes are frequent */
        codes[i] =
            (uint8_t)((rand() % 8 + rand() % 8 - 7) & 15) | (uint8_t)((rand() % 8 + rand() % 8 - 7) << 4);
    for (size_t i = 0; i < layer->outputs; i++)
        scales[i] = 0.01f;
    for (size_t i = 0; i < inputs; i++)
        x[i] = (float)rand() * 0x1p-31f;
    const struct i4q_conv_spec spec = {
        .shape = {layer->channels,
                  layer->outputs,
                  groups,
                  {layer->kernel, layer->kernel},
                  {layer->stride, layer->stride},
                  {1, 1},
                  {pad, pad, pad, pad}},
        .weights = {.bits = 4, .is_signed = true, .codes = codes, .scales = scales},
        .activation = {.function = I4Q_CONV_SILU},
        .level = 4,
    };
    work.input = (struct i4q_conv_input){x, 1, layer->side, layer->side, codes};
    for (int i = 0; i < VARIANTS; i++) {
        work.conv[i] = i4q_conv_prepare(&spec, &sets[i], &error);
        work.best[i] = 1e9;
        if (!work.conv[i])
            exit(1);
    }
    work.y = malloc(layer->outputs * out * out * sizeof *work.y);
    work.scratch = malloc(i4q_conv_scratch(work.conv[0], &work.input, 1));
    free(scales);
    return work;
}

static void release(struct work *work)
{
    for (int i = 0; i < VARIANTS; i++)
        i4q_conv_free(work->conv[i]);
    free((void *)(uintptr_t)work->input.codes);
    free((void *)(uintptr_t)work->input.x);
    free(work->y);
    free(work->scratch);
}

static double measure_loop(const struct loop *loop)
{
    double start = now();
    if (loop->run)
        loop->run();
    return now() - start;
}

static void measure(const struct layer *layer, const struct i4q_conv_kernels *sets, const struct loop *loop)
{
    struct work work = prepare(layer, sets);
    double best_loop = 1e9, *best = work.best;
    for (int round = 0; round < ROUNDS; round++) {
        double time = measure_loop(loop);
        best_loop = time < best_loop ? time : best_loop;
        for (int i = 0; i < VARIANTS; i++) {
            double start = now();
            i4q_conv_run(work.conv[i], &work.input, work.y, work.scratch, &alone);
            time = now() - start;
            best[i] = time < best[i] ? time : best[i];
        }
    }
    double rest = best[NO_RANGE] + best[NO_QUANTIZE] + best[NO_FINISH] - 2 * best[ALL];
    double rate = work.operations / rest * 1e-9, most = loop->operations * (double)TURNS / best_loop * 1e-9;
    printf("%5zu %4zux%-4zu %4zu  %zux%zu s%zu %9.0f %8.0f %8.0f %8.0f %8.0f %8.0f", layer->channels,
           layer->side, layer->side, layer->outputs, layer->kernel, layer->kernel, layer->stride,
           1e6 * best[ALL], 1e6 * (best[ALL] - best[NO_RANGE]), 1e6 * (best[ALL] - best[NO_QUANTIZE]),
           1e6 * (best[ALL] - best[NO_FINISH]), work.operations / best[ALL] * 1e-9, rate);
    printf(loop->run ? " %5.0f %%\n" : "\n", 100 * rate / most);
    release(&work);
}

int main(int argc, char **argv)
{
    struct i4q_error error = {0};
    const struct i4q_conv_kernels *set = i4q_conv_choose(argc > 1 ? argv[1] : "", &error);
    struct variants variants;
    const struct loop *loop = loops;
    if (!set || !set->dense) {
        fprintf(stderr, "int4q-bench-conv: %s\n", set ? "the set has no kernels of its own" : error.message);
        return 1;
    }
    while (loop->run && strcmp(loop->set, set->name) != 0)
        loop++;
    make_variants(set, &variants);
    printf("%s\n", set->name);
    printf("    C  H x W       M  kernel       all    range quantize   finish    GOP/s products    peak\n");
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        measure(&layers[i], variants.sets, loop);
    return 0;
}

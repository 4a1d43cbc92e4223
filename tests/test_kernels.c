// SPDX-License-Identifier: Apache-2.0
/* Every kernel set against the scalar one, and the scalar one against numbers worked out by hand. */
#include "testing.h"

#include "int4q/kernels.h"

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX = 4096 + 37, GUARDED = 1 << 16 };

static const size_t sizes[] = {0,  1,  2,  3,  5,  7,  8,  9,   13,  15,  16,  17,  23,  31,   32,   33,
                               37, 47, 48, 63, 64, 65, 97, 127, 128, 129, 251, 256, 257, 1021, 4096, 4133};

/* Memory that ends at a page nobody may touch. */
struct guarded {
    uint8_t *start, *end;
};

static struct guarded source, target, reference;

static struct guarded make_guarded(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *start = mmap(NULL, GUARDED + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(start != MAP_FAILED);
    assert_int_equal(mprotect(start + GUARDED, page, PROT_NONE), 0);
    return (struct guarded){start, start + GUARDED};
}

static int setup(void **state)
{
    (void)state;
    source = make_guarded();
    target = make_guarded();
    reference = make_guarded();
    return 0;
}

static uint32_t seed = 1;

/* xorshift32 (Marsaglia 2003): the same numbers on every machine. */
static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static float random_weight(size_t i)
{
    static const float special[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-126f, 0.5f,  -0.5f, 1.5f,
                                    2.5f, -2.5f, 6.5f,      -7.5f,      1e30f, 7.0f,  -1e30f};
    if (next_random() % 4 == 0)
        return special[(next_random() + i) % (sizeof special / sizeof *special)];
    return (float)((int32_t)next_random()) * 0x1p-28f;
}

/* Weights so that the last one ends `slack` bytes before the forbidden page. */
static const void *fill_weights(size_t n, size_t slack)
{
    uint8_t *weights = source.end - slack - n * sizeof(float);
    for (size_t i = 0; i < n; i++) {
        float weight = random_weight(i);
        memcpy(weights + i * sizeof weight, &weight, sizeof weight);
    }
    return weights;
}

static const int8_t *fill_codes(size_t n)
{
    uint8_t *codes = source.end - n;
    for (size_t i = 0; i < n; i++)
        codes[i] = (uint8_t)((int)(next_random() % 16) - 8);
    return (const int8_t *)codes;
}

/* Two outputs of the same size, each ending at its forbidden page, filled alike; written before checked for
 * stray bytes in front of them. */
static void prepare(size_t bytes, uint8_t **a, uint8_t **b)
{
    memset(target.start, 0xa5, GUARDED);
    memset(reference.start, 0xa5, GUARDED);
    *a = target.end - bytes;
    *b = reference.end - bytes;
}

static void assert_same(const char *set, const char *kernel, size_t n, size_t slack)
{
    if (memcmp(target.start, reference.start, GUARDED) != 0)
        fail_msg("%s: %s differs from the scalar one for n = %zu, slack %zu", set, kernel, n, slack);
}

static const struct i4q_kernels *scalar(void)
{
    struct i4q_error error = {0};
    return i4q_kernels_choose("scalar", &error);
}

static void compare_codes(const struct i4q_kernels *set, size_t n, size_t slack)
{
    static const float scales[] = {1.0f, 0.3f, 0x1p-130f, 1e20f};
    uint8_t *a, *b;
    const void *weights = fill_weights(n, slack);
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        prepare(n, &a, &b);
        set->quantize(weights, n, scales[s], s % 2 ? 7 : 127, (int8_t *)a);
        scalar()->quantize(weights, n, scales[s], s % 2 ? 7 : 127, (int8_t *)b);
        assert_same(set->name, "quantize", n, slack);
    }
}

static void compare_packing(const struct i4q_kernels *set, size_t n)
{
    uint8_t *a, *b;
    const int8_t *codes = fill_codes(n);
    prepare((n + 1) / 2, &a, &b);
    set->pack4(codes, n, a);
    scalar()->pack4(codes, n, b);
    assert_same(set->name, "pack4", n, 0);
    uint8_t *packed = source.end - (n + 1) / 2;
    memmove(packed, b, (n + 1) / 2);
    prepare(n, &a, &b);
    set->unpack4(packed, n, (int8_t *)a);
    scalar()->unpack4(packed, n, (int8_t *)b);
    assert_same(set->name, "unpack4", n, 0);
}

static void compare_decoding(const struct i4q_kernels *set, size_t n)
{
    uint8_t *a, *b;
    const int8_t *codes = fill_codes(n);
    prepare(n * sizeof(float), &a, &b);
    set->dequantize(codes, n, 0.1f, 3, (float *)(void *)a);
    scalar()->dequantize(codes, n, 0.1f, 3, (float *)(void *)b);
    assert_same(set->name, "dequantize", n, 0);
    uint8_t *halves = source.end - 2 * n;
    for (size_t i = 0; i < 2 * n; i++)
        halves[i] = (uint8_t)next_random();
    prepare(n * sizeof(float), &a, &b);
    set->widen16(halves, n, (float *)(void *)a);
    scalar()->widen16(halves, n, (float *)(void *)b);
    assert_same(set->name, "widen16", n, 0);
}

static void compare_measures(const struct i4q_kernels *set, size_t n, size_t slack)
{
    static float decoded[MAX];
    struct i4q_error_sums a = {.max_error = 0.25f, .signal = {1, 2, 3}}, b = a;
    const void *weights = fill_weights(n, slack);
    for (size_t i = 0; i < n; i++)
        decoded[i] = random_weight(i);
    set->measure(weights, decoded, n, &a);
    scalar()->measure(weights, decoded, n, &b);
    if (memcmp(a.signal, b.signal, sizeof a.signal) || memcmp(a.noise, b.noise, sizeof a.noise) ||
        a.max_error != b.max_error)
        fail_msg("%s: measure differs from the scalar one for n = %zu", set->name, n);
    float x = set->absmax(weights, n), y = scalar()->absmax(weights, n);
    if (memcmp(&x, &y, sizeof x))
        fail_msg("%s: absmax differs from the scalar one for n = %zu: %a, %a", set->name, n, (double)x,
                 (double)y);
}

static void absmax_sees_what_is_not_finite(const struct i4q_kernels *set, size_t n)
{
    static const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t place = 0; place < n; place++) {
        uint8_t *weights = source.end - n * sizeof(float);
        fill_weights(n, 0);
        memcpy(weights + place * sizeof(float), &odd[place % 4], sizeof(float));
        if (isfinite(set->absmax(weights, n)))
            fail_msg("%s: absmax overlooks element %zu of %zu", set->name, place, n);
    }
}

static void every_set_equals_scalar(void **state)
{
    (void)state;
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++) {
        if (!i4q_kernels_supported(*set)) {
            print_message("skipped: this CPU cannot run %s\n", (*set)->name);
            continue;
        }
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            for (size_t slack = 0; slack < 32; slack += slack < 8 ? 1 : 7) {
                compare_codes(*set, sizes[s], slack);
                compare_measures(*set, sizes[s], slack);
            }
            compare_packing(*set, sizes[s]);
            compare_decoding(*set, sizes[s]);
        }
        absmax_sees_what_is_not_finite(*set, 67);
    }
}

static void scalar_quantizes_as_defined(void **state)
{
    (void)state;
    static const float weights[] = {0.5f,  1.5f,   2.5f,    -0.5f, -1.5f, 3.49f,
                                    3.51f, 100.0f, -100.0f, -0.0f, 6.5f};
    static const int8_t expected[] = {0, 2, 2, 0, -2, 3, 4, 7, -7, 0, 6}; /* ties go to the even code */
    int8_t codes[sizeof expected];
    scalar()->quantize(weights, sizeof expected, 1.0f, 7, codes);
    assert_memory_equal(codes, expected, sizeof expected);
}

static void scalar_packs_low_nibble_first(void **state)
{
    (void)state;
    static const int8_t codes[] = {1, -1, 7, -8, -3};
    uint8_t packed[4] = {0xee, 0xee, 0xee, 0xee};
    int8_t back[5];
    scalar()->pack4(codes, 5, packed);
    assert_memory_equal(packed, "\xf1\x87\x0d\xee", 4);
    scalar()->unpack4(packed, 5, back);
    assert_memory_equal(back, codes, 5);
}

static void scalar_decodes_and_measures(void **state)
{
    (void)state;
    static const int8_t codes[] = {0, 8, 15};
    static const float weights[] = {1.0f, -2.0f, 3.0f};
    float decoded[3];
    scalar()->dequantize(codes, 3, 0.5f, 8, decoded);
    assert_true(decoded[0] == -4.0f && decoded[1] == 0.0f && decoded[2] == 3.5f);
    struct i4q_error_sums sums = {0};
    scalar()->measure(weights, decoded, 3, &sums);
    assert_true(sums.signal[0] == 1 && sums.signal[1] == 4 && sums.signal[2] == 9 && sums.signal[3] == 0);
    assert_true(sums.noise[0] == 25 && sums.noise[1] == 4 && sums.noise[2] == 0.25);
    assert_true(sums.max_error == 5.0f);
    assert_true(scalar()->absmax(weights, 3) == 3.0f);
    assert_true(scalar()->absmax(weights, 0) == 0.0f);
}

static void sets_are_chosen_by_name(void **state)
{
    (void)state;
    struct i4q_error error = {0};
    assert_string_equal(i4q_kernels_choose("scalar", &error)->name, "scalar");
    const struct i4q_kernels *best = i4q_kernels_choose(NULL, &error);
    assert_true(best && i4q_kernels_supported(best));
    assert_ptr_equal(i4q_kernels_choose("", &error), best);
    assert_null(i4q_kernels_choose("avx1024", &error));
    assert_failed(error, I4Q_USAGE, "unknown kernel set 'avx1024' (this build has ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_equals_scalar),       cmocka_unit_test(scalar_quantizes_as_defined),
        cmocka_unit_test(scalar_packs_low_nibble_first), cmocka_unit_test(scalar_decodes_and_measures),
        cmocka_unit_test(sets_are_chosen_by_name),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

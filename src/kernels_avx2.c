// SPDX-License-Identifier: Apache-2.0
/* AVX2 and F16C. Every function does whole vectors and leaves the tail to the scalar definition. */
#include "kernels_impl.h"

#include "int4q/cpu.h"

#include <immintrin.h>
#include <string.h>

static const struct i4q_kernels *const tail = &i4q_kernels_scalar;

static const float *at(const void *source, size_t i)
{
    return (const float *)((const char *)source + i * sizeof(float));
}

static __m256 magnitude(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

static float absmax(const void *weights, size_t n)
{
    /* Compared as integers: without their sign, binary32 numbers order like their bits, infinity above the
     * finite ones and NaN above infinity, so none of the two can get lost. Two registers hide the latency. */
    __m256i mask = _mm256_set1_epi32(0x7fffffff), a = _mm256_setzero_si256(), b = a;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        a = _mm256_max_epi32(a, _mm256_and_si256(mask, _mm256_loadu_si256((const void *)at(weights, i))));
        b = _mm256_max_epi32(b, _mm256_and_si256(mask, _mm256_loadu_si256((const void *)at(weights, i + 8))));
    }
    int32_t lanes[8], largest = 0;
    _mm256_storeu_si256((void *)lanes, _mm256_max_epi32(a, b));
    for (int lane = 0; lane < 8; lane++)
        largest = lanes[lane] > largest ? lanes[lane] : largest;
    float rest = tail->absmax(at(weights, i), n - i);
    int32_t rest_bits;
    memcpy(&rest_bits, &rest, sizeof rest_bits);
    largest = rest_bits > largest ? rest_bits : largest;
    float result;
    memcpy(&result, &largest, sizeof result);
    return result;
}

/* Eight codes as 32-bit integers. The clamp comes before the conversion, which would not survive large
 * values. */
static __m256i quantize8(const float *weights, __m256 scale, __m256 limit)
{
    __m256 code = _mm256_div_ps(_mm256_loadu_ps(weights), scale);
    code = _mm256_round_ps(code, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    code = _mm256_max_ps(_mm256_min_ps(code, limit), _mm256_sub_ps(_mm256_setzero_ps(), limit));
    return _mm256_cvtps_epi32(code);
}

static void quantize(const void *weights, size_t n, float scale, int qmax, int8_t *codes)
{
    __m256 s = _mm256_set1_ps(scale), limit = _mm256_set1_ps((float)qmax);
    /* The packs work within 128-bit halves; this puts the groups of four back in order. */
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i ab =
            _mm256_packs_epi32(quantize8(at(weights, i), s, limit), quantize8(at(weights, i + 8), s, limit));
        __m256i cd = _mm256_packs_epi32(quantize8(at(weights, i + 16), s, limit),
                                        quantize8(at(weights, i + 24), s, limit));
        __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(ab, cd), order);
        _mm256_storeu_si256((void *)(codes + i), bytes);
    }
    tail->quantize(at(weights, i), n - i, scale, qmax, codes + i);
}

static void pack4(const int8_t *codes, size_t n, uint8_t *packed)
{
    /* even + 16 * odd of each pair in one multiply-add: both are 0 to 15 then, the sum at most 255. */
    __m256i low = _mm256_set1_epi8(15), weights = _mm256_set1_epi16(0x1001);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m256i a = _mm256_and_si256(low, _mm256_loadu_si256((const void *)(codes + i)));
        __m256i b = _mm256_and_si256(low, _mm256_loadu_si256((const void *)(codes + i + 32)));
        __m256i pairs =
            _mm256_packus_epi16(_mm256_maddubs_epi16(a, weights), _mm256_maddubs_epi16(b, weights));
        _mm256_storeu_si256((void *)(packed + i / 2),
                            _mm256_permute4x64_epi64(pairs, _MM_SHUFFLE(3, 1, 2, 0)));
    }
    tail->pack4(codes + i, n - i, packed + i / 2);
}

static void unpack4(const void *packed, size_t n, int8_t *codes)
{
    /* One table look-up extends the sign of all nibbles. */
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
    const __m128i low = _mm_set1_epi8(15);
    const uint8_t *bytes = packed;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m128i pairs = _mm_loadu_si128((const void *)(bytes + i / 2));
        __m128i even = _mm_and_si128(low, pairs), odd = _mm_and_si128(low, _mm_srli_epi16(pairs, 4));
        __m256i nibbles = _mm256_set_m128i(_mm_unpackhi_epi8(even, odd), _mm_unpacklo_epi8(even, odd));
        _mm256_storeu_si256((void *)(codes + i), _mm256_shuffle_epi8(table, nibbles));
    }
    tail->unpack4(bytes + i / 2, n - i, codes + i);
}

static void dequantize(const int8_t *codes, size_t n, float scale, int zero, float *weights)
{
    __m256 s = _mm256_set1_ps(scale);
    __m256i z = _mm256_set1_epi32(zero);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(codes + i)));
        _mm256_storeu_ps(weights + i, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(wide, z)), s));
    }
    tail->dequantize(codes + i, n - i, scale, zero, weights + i);
}

/* Adds the squares of four elements, and of their errors, to four lanes. */
static void add_squares(__m128 weights, __m128 decoded, __m256d *signal, __m256d *noise)
{
    __m256d w = _mm256_cvtps_pd(weights), difference = _mm256_sub_pd(w, _mm256_cvtps_pd(decoded));
    *signal = _mm256_add_pd(*signal, _mm256_mul_pd(w, w));
    *noise = _mm256_add_pd(*noise, _mm256_mul_pd(difference, difference));
}

static float largest_lane(__m256 x)
{
    float lanes[8], largest = 0;
    _mm256_storeu_ps(lanes, x);
    for (int lane = 0; lane < 8; lane++)
        largest = lanes[lane] > largest ? lanes[lane] : largest;
    return largest;
}

static void measure(const void *weights, const float *decoded, size_t n, struct i4q_error_sums *sums)
{
    __m256d signal[2] = {_mm256_loadu_pd(sums->signal), _mm256_loadu_pd(sums->signal + 4)};
    __m256d noise[2] = {_mm256_loadu_pd(sums->noise), _mm256_loadu_pd(sums->noise + 4)};
    __m256 largest = _mm256_set1_ps(sums->max_error);
    size_t i = 0;
    for (; i + I4Q_LANES <= n; i += I4Q_LANES) {
        __m256 w = _mm256_loadu_ps(at(weights, i)), d = _mm256_loadu_ps(decoded + i);
        largest = _mm256_max_ps(largest, magnitude(_mm256_sub_ps(w, d)));
        add_squares(_mm256_castps256_ps128(w), _mm256_castps256_ps128(d), &signal[0], &noise[0]);
        add_squares(_mm256_extractf128_ps(w, 1), _mm256_extractf128_ps(d, 1), &signal[1], &noise[1]);
    }
    _mm256_storeu_pd(sums->signal, signal[0]);
    _mm256_storeu_pd(sums->signal + 4, signal[1]);
    _mm256_storeu_pd(sums->noise, noise[0]);
    _mm256_storeu_pd(sums->noise + 4, noise[1]);
    sums->max_error = largest_lane(largest);
    /* i is a multiple of I4Q_LANES, so the tail starts at lane 0, as it assumes. */
    tail->measure(at(weights, i), decoded + i, n - i, sums);
}

static void widen16(const void *halves, size_t n, float *weights)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(weights + i,
                         _mm256_cvtph_ps(_mm_loadu_si128((const void *)((const char *)halves + 2 * i))));
    tail->widen16((const char *)halves + 2 * i, n - i, weights + i);
}

const struct i4q_kernels i4q_kernels_avx2 = {
    .name = "avx2",
    .needs = I4Q_CPU_AVX2 | I4Q_CPU_F16C,
    .absmax = absmax,
    .quantize = quantize,
    .pack4 = pack4,
    .unpack4 = unpack4,
    .dequantize = dequantize,
    .measure = measure,
    .widen16 = widen16,
};

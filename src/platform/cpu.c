// SPDX-License-Identifier: Apache-2.0
#include "platform/cpu.h"

#include "platform/native.h"

#include <stdatomic.h>

enum { DETECTED = 1 << 30 };

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* Bits of XCR0: the operating system saves xmm and ymm, and also zmm and the masks. */
enum { XCR0_YMM = 0x06, XCR0_ZMM = 0xe6 };

static unsigned long long read_xcr0(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

/* The bits of leaf 7, which the compiler's header may not know. */
enum { LEAF7_1_EAX_AVXVNNI = 1 << 4 };

static unsigned detect_wide(unsigned b, unsigned c)
{
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & avx512) != avx512 || (read_xcr0() & XCR0_ZMM) != XCR0_ZMM)
        return 0;
    return I4Q_CPU_AVX512 | (c & bit_AVX512VNNI ? I4Q_CPU_AVX512VNNI : 0);
}

static unsigned detect_leaf7(void)
{
    unsigned a, b, c, d, features = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (b & bit_AVX2)
        features |= I4Q_CPU_AVX2;
    features |= detect_wide(b, c);
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & LEAF7_1_EAX_AVXVNNI)
        features |= I4Q_CPU_AVXVNNI;
    return features;
}

static unsigned detect(void)
{
    unsigned a, b, c, d, features = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    if ((read_xcr0() & XCR0_YMM) != XCR0_YMM)
        return 0;
    if (c & bit_F16C)
        features |= I4Q_CPU_F16C;
    if (c & bit_FMA)
        features |= I4Q_CPU_FMA;
    return features | detect_leaf7();
}
#elif defined(__aarch64__)
static unsigned detect(void)
{
    return I4Q_CPU_NEON | (i4q_native_has_dot_product() ? I4Q_CPU_DOTPROD : 0);
}
#else
static unsigned detect(void)
{
    return 0;
}
#endif

unsigned i4q_cpu_features(void)
{
    static _Atomic unsigned cached;
    unsigned features = atomic_load_explicit(&cached, memory_order_relaxed);
    if (!features) { /* two threads may both get here; they find the same */
        features = detect() | DETECTED;
        atomic_store_explicit(&cached, features, memory_order_relaxed);
    }
    return features & ~(unsigned)DETECTED;
}

// SPDX-License-Identifier: Apache-2.0
#include "platform/cpu.h"

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

static unsigned detect(void)
{
    unsigned a, b, c, d, features = 0;
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    unsigned long long saved = read_xcr0();
    if ((saved & XCR0_YMM) != XCR0_YMM)
        return 0;
    if (c & bit_F16C)
        features |= I4Q_CPU_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return features;
    if (b & bit_AVX2)
        features |= I4Q_CPU_AVX2;
    if ((b & avx512) == avx512 && (saved & XCR0_ZMM) == XCR0_ZMM)
        features |= I4Q_CPU_AVX512;
    return features;
}
#elif defined(__aarch64__)
static unsigned detect(void)
{
    return I4Q_CPU_NEON;
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

// SPDX-License-Identifier: Apache-2.0
/* What the processor can do, as far as the operating system saves the registers for it. */
#ifndef INT4Q_PLATFORM_CPU_H
#define INT4Q_PLATFORM_CPU_H

/* One bit a feature that some kernel set is compiled for. */
enum i4q_cpu_feature {
    I4Q_CPU_AVX2 = 1 << 0,
    I4Q_CPU_F16C = 1 << 1,
    I4Q_CPU_AVX512 = 1 << 2, /* F, BW, DQ and VL */
    I4Q_CPU_NEON = 1 << 3,
    I4Q_CPU_FMA = 1 << 4,
    I4Q_CPU_AVXVNNI = 1 << 5,
    I4Q_CPU_AVX512VNNI = 1 << 6,
    I4Q_CPU_DOTPROD = 1 << 7,
};

/* The features of this machine; detected once, thread-safe. */
unsigned i4q_cpu_features(void);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Stands in for platform/cpu.c where all is emulated that a CPU lacks. */
#include "platform/cpu.h"

unsigned i4q_cpu_features(void)
{
    return ~0u;
}

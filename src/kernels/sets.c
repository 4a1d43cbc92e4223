// SPDX-License-Identifier: Apache-2.0
#include "kernels/sets.h"

#include "base/elementary.h"
#include "kernels/quantize_impl.h"
#include "platform/cpu.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const struct i4q_kernels *const i4q_kernel_sets[] = {
#if defined(__x86_64__)
    &i4q_kernels_avx512,
    &i4q_kernels_avx2,
#elif defined(__aarch64__)
    &i4q_kernels_neon,
#endif
    &i4q_kernels_scalar,
    NULL,
};

bool i4q_kernels_supported(const struct i4q_kernels *kernels)
{
    return (kernels->needs & ~i4q_cpu_features()) == 0;
}

static const struct i4q_kernels *best(void)
{
    const struct i4q_kernels *const *set = i4q_kernel_sets;
    while (!i4q_kernels_supported(*set)) /* the scalar one needs nothing */
        set++;
    return *set;
}

static const struct i4q_kernels *unknown(const char *name, struct i4q_error *error)
{
    char known[128] = "";
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++) {
        size_t length = strlen(known);
        snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "", (*set)->name);
    }
    i4q_fail(error, I4Q_USAGE, "unknown kernel set '%s' (this build has %s)", name, known);
    return NULL;
}

const struct i4q_kernels *i4q_kernels_choose(const char *name, struct i4q_error *error)
{
    if (!name || !*name)
        return best();
    for (const struct i4q_kernels *const *set = i4q_kernel_sets; *set; set++) {
        if (strcmp((*set)->name, name) != 0)
            continue;
        if (i4q_kernels_supported(*set))
            return *set;
        i4q_fail(error, I4Q_USAGE, "kernel set '%s' cannot run on this CPU", name);
        return NULL;
    }
    return unknown(name, error);
}

bool i4q_encode4_takes(float scale)
{
    return scale >= 0x1p-40f && scale <= 0x1p40f;
}

void i4q_error_add(struct i4q_error_sums *sums, const struct i4q_error_sums *more)
{
    sums->signal += more->signal;
    sums->noise += more->noise;
    sums->drift += more->drift;
    sums->max_error = fmaxf(sums->max_error, more->max_error);
}

float i4q_error_unit(float absmax)
{
    enum { LIMIT = 126 }; /* 2^126 and 2^-126 are both normal numbers */
    int exponent = FLT_MAX_EXP;
    if (isfinite(absmax))
        frexpf(absmax, &exponent);
    return ldexpf(1, exponent > LIMIT ? -LIMIT : exponent < -LIMIT ? LIMIT : -exponent);
}

double i4q_error_sqnr(const struct i4q_error_sums *sums)
{
    if (sums->signal == 0)
        return NAN;
    return sums->noise == 0 ? INFINITY : 10 * i4q_log10(sums->signal / sums->noise);
}

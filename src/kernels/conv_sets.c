// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv_impl.h"

#include "platform/cpu.h"

#include <stdio.h>
#include <string.h>

const struct i4q_conv_kernels *const i4q_conv_sets[] = {
#if defined(__x86_64__)
    &i4q_conv_avx512vnni, &i4q_conv_avxvnni,
    &i4q_conv_avx2,
#elif defined(__aarch64__)
    &i4q_conv_neondot,
    &i4q_conv_neon,
#endif
    &i4q_conv_scalar,     NULL,
};

const char *i4q_conv_set_name(const struct i4q_conv_kernels *set)
{
    return set->name;
}

bool i4q_conv_supported(const struct i4q_conv_kernels *set)
{
    return (set->needs & ~i4q_cpu_features()) == 0;
}

static const struct i4q_conv_kernels *best(void)
{
    const struct i4q_conv_kernels *const *set = i4q_conv_sets;
    while (!i4q_conv_supported(*set)) /* the scalar one needs nothing */
        set++;
    return *set;
}

static const struct i4q_conv_kernels *unknown(const char *name, struct i4q_error *error)
{
    char known[128] = "";
    for (const struct i4q_conv_kernels *const *set = i4q_conv_sets; *set; set++) {
        size_t length = strlen(known);
        snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "", (*set)->name);
    }
    i4q_fail(error, I4Q_USAGE, "unknown kernel set '%s' for Convs (this build has %s)", name, known);
    return NULL;
}

const struct i4q_conv_kernels *i4q_conv_choose(const char *name, struct i4q_error *error)
{
    if (!name || !*name)
        return best();
    for (const struct i4q_conv_kernels *const *set = i4q_conv_sets; *set; set++) {
        if (strcmp((*set)->name, name) != 0)
            continue;
        if (i4q_conv_supported(*set))
            return *set;
        i4q_fail(error, I4Q_USAGE, "kernel set '%s' cannot run on this CPU", name);
        return NULL;
    }
    return unknown(name, error);
}

// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct suffix {
    const char *name;
    double factor;
} suffixes[] = {
    {"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"Ki", 1024}, {"Mi", 1 << 20}, {"Gi", 1 << 30},
};

bool i4q_size_parse(const char *text, double *size)
{
    /* strtod would take signs, exponents, hexadecimal and names as well. */
    size_t digits = strspn(text, "0123456789.");
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    *size = strtod(text, &end);
    for (size_t i = 0; end == text + digits && i < sizeof suffixes / sizeof *suffixes; i++) {
        if (strcmp(end, suffixes[i].name) != 0)
            continue;
        *size *= suffixes[i].factor;
        return true;
    }
    return false;
}

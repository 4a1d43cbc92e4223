// SPDX-License-Identifier: Apache-2.0
/* Sizes as people write them: 8500000, 8.5M, 8Mi. */
#ifndef INT4Q_BASE_SIZE_H
#define INT4Q_BASE_SIZE_H

#include <stdbool.h>

/* A decimal number with the suffix k or K, M, G (1000, ...), Ki, Mi, Gi (1024, ...) or none. False: it is
 * none. */
bool i4q_size_parse(const char *text, double *size);

#endif

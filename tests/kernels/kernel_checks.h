// SPDX-License-Identifier: Apache-2.0
/* Holds a kernel set to the scalar one. No test framework in here, so that it also runs where there is none:
 * on another CPU, emulated. */
#ifndef INT4Q_KERNEL_CHECKS_H
#define INT4Q_KERNEL_CHECKS_H

#include "kernels/sets.h"

/* Compares all kernels over sizes, alignments and awkward numbers, in buffers that end at a page nobody may
 * touch. False: they differ, and `message` says where. */
bool i4q_check_kernels(const struct i4q_kernels *set, char *message, size_t size);

#endif

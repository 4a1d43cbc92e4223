// SPDX-License-Identifier: Apache-2.0
/* Holds what a kernel set does with rows of numbers to the scalar set. No test framework in here, so that it
 * also runs where there is none: on another CPU, emulated. */
#ifndef INT4Q_CONV_ROWS_CHECKS_H
#define INT4Q_CONV_ROWS_CHECKS_H

#include "kernels/conv.h"

/* False: they differ, and `message` says where. */
bool conv_rows_check(const struct i4q_conv_kernels *set, char *message, size_t size);

#endif

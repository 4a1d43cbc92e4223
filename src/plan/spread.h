// SPDX-License-Identifier: Apache-2.0
/*
 * How the values that Convs read are spread, from a file of calibration statistics: for each such value T of
 * C channels
 *     "T|lo", "T|hi"  F32 [C]       the least and the greatest value of a channel over all images
 *     "T|hist"        U32 [C, B]    how many of its values fall into B equal bins between these two
 */
#ifndef INT4Q_PLAN_SPREAD_H
#define INT4Q_PLAN_SPREAD_H

#include "plan/statistics.h"
#include "quantize/range.h"

/* Whether the file tells of any value. */
bool i4q_statistics_have_spreads(const struct i4q_statistics *statistics);

/* The histogram of a value; histogram->channels is 0 where the file has none. It borrows from the file.
 * I4Q_MODEL, about the file: tensors that do not fit each other, ends that are not in order or beyond
 * `limit`, or nothing that was counted. */
bool i4q_statistics_spread(const struct i4q_statistics *statistics, const char *value, double limit,
                           struct i4q_histogram *histogram, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

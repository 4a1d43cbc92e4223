// SPDX-License-Identifier: Apache-2.0
/* Whether calibration statistics were measured on these weights. What a model computes depends on nothing
 * else that a tool may change in good faith: names of nodes, opset, the order of a graph. */
#ifndef INT4Q_PLAN_ORIGIN_H
#define INT4Q_PLAN_ORIGIN_H

#include "forms/weights.h"
#include "plan/statistics.h"

/* I4Q_MODEL, about the file of statistics and with both names: a weight of the model at `path` has another
 * CRC-32 than the one in the metadata of the statistics, or none of theirs is in it, or they
 * were measured on a model that stores weights otherwise than as floats, and this one does not. Statistics
 * that do not speak of weights are taken. */
bool i4q_origin_check(const struct i4q_statistics *statistics, const struct i4q_weights *weights,
                      const char *path, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

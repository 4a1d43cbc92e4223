// SPDX-License-Identifier: Apache-2.0
/* --decode fused (fused.h): what is known of the values of a model, above all the range that each has. */
#ifndef INT4Q_PLAN_FUSED_RANGES_H
#define INT4Q_PLAN_FUSED_RANGES_H

#include "plan/plan.h"

/* In the arena. */
struct i4q_plan_fused {
    bool *lossy; /* by the index of an activation: it stays float where nobody says what shall */

    /* By the index of a value. */
    struct i4q_range *ranges;      /* that it has by itself; of others bits is 0 */
    const struct i4q_value **same; /* whose range it has, of a value of a stretch */
    bool *listed;                  /* among those below */

    /* By the index of a node. */
    struct i4q_plan_row **rows; /* of Convs */
    bool *computes;
    bool *stays; /* around a value that is kept float */

    const struct i4q_value **values; /* that get a pair, in the order of the graph */
    size_t n_values, n_convs;        /* how many of these; Convs that compute */
    size_t n_kept;                   /* values that stay float for what they would lose */
};

/* Ranges by the statistics, of what Convs and the operators of fused_ops.h read and give; and which values
 * would lose too much. What the statistics do not tell of has none. */
bool i4q_fused_ranges_find(struct i4q_plan *plan, unsigned threads, struct i4q_error *error) I4Q_MUST_CHECK;

/* The range of a value; its bits are 0 where none is known. */
const struct i4q_range *i4q_plan_fused_range(const struct i4q_plan_fused *fused,
                                             const struct i4q_value *value);

/* Whether there is one, and the value may become codes. NULL: none is there. */
bool i4q_fused_has_range(const struct i4q_plan_fused *fused, const struct i4q_value *value);

enum { I4Q_FUSED_MOST_BIAS = 1 << 30 }; /* what the codes of biases stay below */

/* The scale of a bias in INT32: of what the Conv reads times that of the weight, in binary32. */
float i4q_fused_bias_scale(const struct i4q_quantize_job *job, size_t channel, const struct i4q_range *input);

#endif

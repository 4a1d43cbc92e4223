// SPDX-License-Identifier: Apache-2.0
/* The figures that a report on a rewrite has, whatever it is written as. */
#ifndef INT4Q_REPORT_REWRITE_FIGURES_H
#define INT4Q_REPORT_REWRITE_FIGURES_H

#include "plan/plan.h"

/* One Conv, ready to be told. */
struct i4q_told {
    struct i4q_storage before;         /* as it was in the input */
    const char *storage;               /* as it is in the output */
    const struct i4q_origin *imported; /* whose integers are stored; NULL: none */
    size_t bytes_before, bytes_after;
    double sqnr_db, max_error; /* NAN where there is none, as all that follow */
    double drift, clipped, moved, output_sqnr_db, predicted_loss;
    size_t block; /* weights that share a scale in the output, where it is not a channel; else 0 */
};

/* Takes memory of the model's arena. */
struct i4q_told i4q_tell(const struct i4q_plan *plan, const struct i4q_plan_row *row);

/* Weights of all Convs, one that several share counted once. */
void i4q_count_weights(const struct i4q_plan *plan, size_t *all, size_t *quantized);

/* Convs that have this reason. */
size_t i4q_count_rows(const struct i4q_plan *plan, enum i4q_reason reason);

/* Weights that were imported in a format. */
size_t i4q_count_imported(const struct i4q_plan *plan, const struct i4q_format *format);

/* What quantization does on average, weight by weight: -10 log10 of the mean noise-to-signal ratio; NAN where
 * nothing is known. */
struct i4q_average {
    double weights_db, outputs_db;
};

struct i4q_average i4q_average_error(const struct i4q_plan *plan);

#endif

// SPDX-License-Identifier: Apache-2.0
/* A model on one screen: its Convs by stages, and those with the largest errors. */
#ifndef INT4Q_REPORT_SUMMARY_H
#define INT4Q_REPORT_SUMMARY_H

#include "report/columns.h"
#include "report/kinds.h"
#include "report/stages.h"

enum { I4Q_SUMMARY_WORST = 5 };

/* What is told of a Conv. */
struct i4q_summed {
    const char *storage; /* its name, which lives as long as the summary */
    size_t weights, bytes_before, bytes;
    double sqnr_db; /* NAN: not known */
};

struct i4q_summary {
    struct i4q_stages stages;
    struct i4q_stage_sum {
        size_t convs, weights, bytes_before, bytes;
        struct i4q_kinds kinds;
        double noise; /* sum of noise-to-signal ratios */
        size_t measured;
    } sums[I4Q_STAGES_MOST];
    struct {
        const struct i4q_conv *conv;
        double sqnr_db;
    } worst[I4Q_SUMMARY_WORST]; /* the worst first */
    size_t n_worst;
};

/* Of `count` Convs, each of which is to be added. */
void i4q_summary_begin(struct i4q_summary *summary, const struct i4q_conv *convs, size_t count);
void i4q_summary_add(struct i4q_summary *summary, const struct i4q_conv *conv,
                     const struct i4q_summed *summed);

/* The table of stages; bytes_before and decibels where they are wanted. A weight that Convs share counts in
 * each. Ends with an empty line; nothing
 * where the names tell no stages. */
void i4q_summary_stages(const struct i4q_summary *summary, bool before, bool decibels,
                        const struct i4q_look *look, FILE *stream);

/* The Convs with the lowest ratios, each on a line that fits. */
void i4q_summary_worst(const struct i4q_summary *summary, const struct i4q_look *look, FILE *stream);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * The decision for every Conv: the format that its weight gets, or the one reason why it stays as it is. What
 * follows (quantize, rewrite, report) reads the plan and decides nothing.
 *
 *   i4q_plan_make → i4q_plan_quantize → the plan is final
 *
 * Quantizing is part of deciding because only a pass over the numbers tells that one is not finite.
 * Everything is in the model's arena and lives as long as the model.
 */
#ifndef INT4Q_PLAN_PLAN_H
#define INT4Q_PLAN_PLAN_H

#include "forms/form.h"
#include "forms/weight.h"
#include "onnx/layers.h"
#include "onnx/names.h"
#include "plan/patterns.h"
#include "plan/reasons.h"
#include "plan/sensitivity.h"
#include "plan/statistics.h"

struct i4q_plan_row {
    const struct i4q_conv *conv;
    struct i4q_weight *weight; /* NULL unless the weight is stored (I4Q_SOURCE_STORED) */
    enum i4q_choice choice;    /* by the user's patterns */
    bool exact;                /* an --include pattern is its very name */
    struct i4q_measurement measurement;
    enum i4q_reason reason;
};

enum i4q_rank_mode {
    I4Q_RANK_KEEP,             /* the `count` most sensitive stay float */
    I4Q_RANK_QUANTIZE,         /* only the `count` least sensitive measured ones are quantized */
    I4Q_RANK_QUANTIZE_PERCENT, /* the same, `count` percent of the candidates */
};

/* How the chosen weights are stored. */
struct i4q_target {
    const struct i4q_format *format;
    const struct i4q_format *keep_format; /* of what is kept as `sensitive` or `small`; NULL: stays float */
    const struct i4q_form *form;          /* of the weights that it can hold */
    struct i4q_method method;             /* how scales and codes are chosen */
    bool correct_bias;                    /* where statistics tell how */
    size_t block;                         /* weights that share a scale; 0: an output channel */
};

enum i4q_topk_order { I4Q_ORDER_AUTO, I4Q_ORDER_HIGHER_WORSE, I4Q_ORDER_LOWER_WORSE };

struct i4q_plan_options {
    unsigned ops; /* operators whose weights are to be quantized, see i4q_conv_op_bit */
    struct i4q_target target;
    struct i4q_patterns include, exclude;
    bool only_included; /* there are include patterns, or a file that could have held some */
    bool allow_unmatched;
    const char *topk; /* path of the sensitivity JSON, or NULL */
    struct i4q_view topk_json;
    const double *estimates;   /* in place of that file: the loss of each Conv, NAN for none; or NULL */
    enum i4q_topk_order order; /* which scores are the sensitive ones; AUTO: as the file's shape tells */
    bool has_count;            /* --keep or --quantize was given */
    enum i4q_rank_mode rank;
    size_t count;
    size_t min_weights;
    const struct i4q_statistics *statistics; /* of calibration; NULL: none */
    bool assume_constant;                    /* weights that are graph inputs with a default are constants */
    struct i4q_patterns notes;               /* with which those of the plan begin */
};

struct i4q_plan {
    struct i4q_target target;
    struct i4q_conv *convs;    /* in file order */
    struct i4q_plan_row *rows; /* one for each of them */
    size_t n_rows;
    struct i4q_weight *weights; /* in the order of the first Conv that reads each */
    size_t n_weights;
    const struct i4q_statistics *statistics;
    bool assume_constant;     /* as in the options */
    bool inputs_are_constant; /* initializers in graph.input are no more than a habit of the exporter */
    bool has_sensitivity;
    bool estimated; /* and it comes from --rank */
    struct i4q_sensitivity sensitivity;
    bool has_keep; /* scores, and no --quantize */
    size_t keep;   /* K */
    bool keep_is_default;
    struct i4q_patterns notes; /* sentences for the report */
    size_t n_quantized;        /* rows that get the target's format, once final */
    size_t n_stored;           /* weights that get some format, once final */
};

/* All reasons but `non-finite` and `shared`. I4Q_USAGE: a pattern without a match, --keep or --quantize with
 * a JSON that has no scores; I4Q_MODEL: what the modules below refuse. */
bool i4q_plan_make(struct i4q_model *model, const struct i4q_plan_options *options, struct i4q_plan *plan,
                   struct i4q_error *error) I4Q_MUST_CHECK;

/* Quantizes what the plan asks for, and makes the plan final. */
bool i4q_plan_quantize(struct i4q_model *model, struct i4q_plan *plan, const struct i4q_kernels *kernels,
                       unsigned threads, struct i4q_error *error) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * The decision for every Conv: the recipe by which its weight is stored, or the one reason why it stays as it
 * is. What follows (rewrite, report) reads the plan and decides nothing.
 *
 *   i4q_weights_find → i4q_plan_make (→ i4q_plan_keep ...) → i4q_plan_quantize → the plan is final
 *
 * A plan decides about weights, and leaves them alone: any number of plans can be made for those of one
 * model. Before it is quantized it takes all weights that nobody has looked through for finite; but for that,
 * it says what it will say in the end. Everything is in the model's arena.
 */
#ifndef INT4Q_PLAN_PLAN_H
#define INT4Q_PLAN_PLAN_H

#include "forms/forms.h"
#include "forms/weights.h"
#include "plan/activation.h"
#include "plan/patterns.h"
#include "plan/reasons.h"
#include "plan/sensitivity.h"
#include "plan/statistics.h"
#include "quantize/quantize.h"

/* A way to store weights. */
struct i4q_recipe {
    const struct i4q_format *format; /* NULL: they stay as they are */
    const struct i4q_form *form;     /* as wanted; a weight that it cannot hold gets another one */
    struct i4q_method method;        /* how scales and codes are chosen */
    size_t block;                    /* weights that share a scale; 0: an output channel */
    bool narrow;                     /* FLOAT16 scales, where the form has room for them */
};

/* What is decided about a weight. */
struct i4q_plan_weight {
    struct i4q_weight *fact;         /* what it is */
    const struct i4q_recipe *choice; /* what is meant for it: the plan's target, or one of a mixture */
    double predicted_loss;           /* with that, by a mixture; NAN */
    const struct i4q_recipe *recipe; /* what it gets; NULL: it stays as it is */
    const struct i4q_form *form;     /* how it will stand in the graph */
    struct i4q_quantize_job *job;    /* NULL unless it is to be looked through, or quantized */

    /* What the Convs that read it want of it. */
    bool chosen; /* some want it by its choice */
    bool kept;   /* some want it kept, by the recipe for that */
    bool left;   /* some have to leave it as it is */

    /* What is known of its inputs, once it was looked for. */
    bool looked_up;
    struct i4q_moments *moments; /* or NULL */
    double *bias;                /* room for the correction; NULL: none */

    /* What it meets: the activation that all Convs read it with, NULL where there is none. */
    bool met, mixed; /* some Conv reads it; they read it with different ones */
    struct i4q_plan_activation *input;
};

struct i4q_plan_row {
    const struct i4q_conv *conv;
    struct i4q_plan_weight *weight;    /* NULL unless the weight is stored (I4Q_SOURCE_STORED) */
    struct i4q_plan_activation *input; /* that it reads; NULL: none that could be quantized */
    bool computes;                     /* in 8 bits, see fused.h */
    const char *why_float;             /* or why it does not, see fused_reasons.h; NULL: none is known */
    enum i4q_choice choice;            /* by the user's patterns */
    bool exact;                        /* an --include pattern is its very name */
    struct i4q_measurement measurement;
    enum i4q_reason own; /* the reason that it has by itself, however the Convs are ranked */
    enum i4q_reason reason;
};

enum i4q_rank_mode {
    I4Q_RANK_KEEP,             /* the `count` most sensitive are kept */
    I4Q_RANK_QUANTIZE,         /* only the `count` least sensitive measured ones are quantized */
    I4Q_RANK_QUANTIZE_PERCENT, /* the same, `count` percent of the candidates */
    I4Q_RANK_WEIGH,            /* none is kept for its score; see mixture.h */
};

/* How the measured Convs are ranked. */
struct i4q_ranking {
    bool has_count; /* else the file tells, or it is 10 that are kept */
    enum i4q_rank_mode mode;
    size_t count;
};

enum i4q_topk_order { I4Q_ORDER_AUTO, I4Q_ORDER_HIGHER_WORSE, I4Q_ORDER_LOWER_WORSE };

struct i4q_plan_options {
    struct i4q_recipe target; /* of the chosen weights */
    struct i4q_recipe kept;   /* of those that are kept as `sensitive` or `small` */
    bool import_all;          /* where weights are imported: activations and constants as well */
    bool only_import;         /* no weights are stored but those that stand for integers already */
    bool correct_bias;        /* where it is known how */
    struct i4q_activation_options activations;
    struct i4q_patterns include, exclude;
    bool only_included; /* there are include patterns, or a file that could have held some */
    bool allow_unmatched;
    const char *topk; /* path of the sensitivity JSON, or NULL */
    struct i4q_view topk_json;
    const double *estimates;   /* in place of that file: the loss of each Conv, NAN for none; or NULL */
    bool by_outputs;           /* losses are estimated from statistics, not from weights alone */
    enum i4q_topk_order order; /* which scores are the sensitive ones; AUTO: as the file's shape tells */
    struct i4q_ranking ranking;
    size_t min_weights;
    const struct i4q_statistics *statistics; /* of calibration; NULL: none */
    bool assume_constant;                    /* weights that are graph inputs with a default are constants */
    struct i4q_patterns notes;               /* with which those of the plan begin */
    unsigned threads;                        /* for passing means through the graph */
};

/* A node of QONNX and its kin, see quants.h. */
enum i4q_quant_fate {
    I4Q_QUANT_LEFT,
    I4Q_QUANT_WEIGHT, /* its integers are stored */
    I4Q_QUANT_LINEAR, /* becomes QuantizeLinear and DequantizeLinear */
    I4Q_QUANT_SIGN,   /* of one signed bit: becomes GreaterOrEqual and Where */
    I4Q_QUANT_STEPS,  /* becomes Div, Round, Mul and the like, see steps.h and thresholds.h */
    I4Q_QUANT_FOLDED, /* becomes an initializer */
    I4Q_QUANT_FATES,
};

struct i4q_plan_quant {
    const struct i4q_node *node;
    enum i4q_quant_fate fate;        /* but for those of weights, see i4q_plan_quant_fate */
    enum i4q_reason reason;          /* I4Q_QUANT_LEFT: why; 0: nobody asked, or it is another operator */
    const struct i4q_origin *origin; /* what it tells; NULL where it is left */
    int64_t rank;                    /* of what it reads, or I4Q_RANK_UNKNOWN */
};

struct i4q_plan {
    struct i4q_weights *facts;
    struct i4q_recipe target, kept; /* to which the weights point */
    struct i4q_recipe imported; /* of those that stand for integers already; each has a format of its own */
    bool correct_bias;
    const struct i4q_statistics *statistics;
    struct i4q_plan_row *rows; /* one for each Conv of the facts */
    size_t n_rows;
    struct i4q_plan_weight *weights; /* one for each weight of the facts */
    size_t n_weights;
    struct i4q_activation_options activation_options;
    struct i4q_plan_activation *activations; /* in the order of the first Conv that reads each */
    size_t n_activations;
    struct i4q_plan_fused *fused;  /* see fused.h; NULL: the form is another one */
    struct i4q_quantize_job *jobs; /* [n_weights] from the front of the weights that are to be quantized, from
                                      the back of those that come with their codes */
    size_t n_jobs, n_imports;
    const float **means;      /* of the inputs of each weight, as propagate.h tells; NULL: not known */
    bool inputs_are_constant; /* initializers in graph.input are no more than a habit of the exporter */

    bool has_sensitivity;
    bool estimated;  /* and it comes from --rank */
    bool by_outputs; /* as in the options */
    struct i4q_sensitivity sensitivity;
    struct i4q_ranking ranking;
    struct i4q_plan_row **ranked; /* the measured candidates, the most sensitive first */
    size_t n_ranked, n_candidates;
    bool has_keep; /* scores, and no --quantize */
    size_t keep;   /* K */
    bool keep_is_default;

    struct i4q_patterns notes;     /* sentences for the report */
    size_t n_quantized;            /* rows that get their choice of recipe */
    size_t n_stored;               /* weights that get some recipe */
    struct i4q_plan_quant *quants; /* where weights are imported: all nodes of QONNX and its kin */
    size_t n_quants;

    const struct i4q_mixture
        *mixture;          /* of which the weights' choices are; NULL: the target is that of all */
    double predicted_loss; /* of the choices of a mixture */
};

/* What a plan comes to: all weights that could be quantized, also those that are kept. */
struct i4q_tally {
    size_t weights, bytes; /* elements; what stands for them in the file */
};

/* What is decided about the weight that a value is; NULL: it is none. */
struct i4q_plan_weight *i4q_plan_weight_of(const struct i4q_plan *plan, const struct i4q_value *value);

/* Bytes that stand for a weight in the file: of codes, scales and zero points, or of its floats. */
size_t i4q_plan_weight_bytes(const struct i4q_plan_weight *weight);

struct i4q_tally i4q_plan_tally(const struct i4q_plan *plan);

/* Stored bits a weight, NAN where there is none. */
double i4q_tally_bits(const struct i4q_tally *tally);

/* Convs whose weights stand for integers already, and are left since nobody asked for these. */
size_t i4q_count_importable(const struct i4q_plan *plan);

/* Adds a sentence for the report; false, also where `text` is NULL, when memory runs out. */
bool i4q_plan_note(struct i4q_plan *plan, const char *text) I4Q_MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/* The options of int4q rewrite. */
#ifndef INT4Q_CLI_REWRITE_OPTIONS_H
#define INT4Q_CLI_REWRITE_OPTIONS_H

#include "cli/cli.h"
#include "plan/patterns.h"

/* --import: what is stored as the integers that it stands for already. */
enum i4q_import { I4Q_IMPORT_WEIGHTS, I4Q_IMPORT_ALL };

/* --rank: by the errors of weights, or of outputs. */
enum i4q_rank_by { I4Q_RANK_WEIGHTS, I4Q_RANK_STATS };

/* As given on the command line. */
struct i4q_rewrite_arguments {
    struct i4q_common common;
    const char *output, *json, *topk, *quantize, *target_size, *op_types, *calibration, *external, *bits,
        *choices;
    struct i4q_word topk_order, rank, format, keep_format, method, scale, rounding, decode, dq_domain,
        scale_type, import, activations, activation_range, activation_scales;
    bool force, dry_run, strict, allow_unmatched, allow_other_model, assume_constant, follow_symlinks,
        asymmetric, no_bias_correction;
    struct i4q_patterns include, exclude, include_from, exclude_from, keep_activations;
    struct i4q_number keep, min_weights, opset, block;
};

/* The version of ai.onnx whose DequantizeLinear takes the types that the one of com.microsoft takes. */
enum { I4Q_OPSET_OF_MICROSOFT = 21 };

/* --scale-type: as it suits, FLOAT, or FLOAT16 where the form has room for it. */
enum i4q_scale_type { I4Q_SCALES_AUTO, I4Q_SCALES_FLOAT, I4Q_SCALES_FLOAT16 };

extern const struct i4q_option i4q_rewrite_options[]; /* ends with a row without a name */
extern const struct i4q_option_group i4q_rewrite_groups[];

#endif

// SPDX-License-Identifier: Apache-2.0
#include "cli/rewrite_options.h"

#include "onnx/save.h"
#include "plan/plan.h"
#include "quantize/range.h"

static const char *topk_order_word(size_t index)
{
    static const char *const words[] = {
        [I4Q_ORDER_AUTO] = "auto",
        [I4Q_ORDER_HIGHER_WORSE] = "higher-worse",
        [I4Q_ORDER_LOWER_WORSE] = "lower-worse",
    };
    return index < sizeof words / sizeof *words ? words[index] : NULL;
}

static const char *scale_type_word(size_t index)
{
    static const char *const words[] = {
        [I4Q_SCALES_AUTO] = "auto", [I4Q_SCALES_FLOAT] = "float", [I4Q_SCALES_FLOAT16] = "float16"};
    return index < sizeof words / sizeof *words ? words[index] : NULL;
}

static const char *rank_word(size_t index)
{
    static const char *const words[] = {[I4Q_RANK_WEIGHTS] = "weights", [I4Q_RANK_STATS] = "stats"};
    return index < sizeof words / sizeof *words ? words[index] : NULL;
}

static const char *import_word(size_t index)
{
    static const char *const words[] = {[I4Q_IMPORT_WEIGHTS] = "weights", [I4Q_IMPORT_ALL] = "all"};
    return index < sizeof words / sizeof *words ? words[index] : NULL;
}

static const char *scales_word(size_t index)
{
    static const char *const words[] = {"tensor", "channel"};
    return index < sizeof words / sizeof *words ? words[index] : NULL;
}

#define FIELD(name) offsetof(struct i4q_rewrite_arguments, name)

const struct i4q_option i4q_rewrite_options[] = {
    {0, "method", "M", I4Q_OPTION_WORD, FIELD(method),
     "how scales and codes are chosen: squant (the best without images), calibrated (the best, needs "
     "--calibration) or absmax, the plain definition, which at 4 bits costs a detector most of its accuracy "
     "(default: absmax)",
     I4Q_FILE_NONE, i4q_method_word},
    {0, "calibration", "FILE", I4Q_OPTION_STRING, FIELD(calibration),
     "statistics of int4q-lab calibrate, for the method calibrated and for the correction of biases",
     I4Q_FILE_INPUT},
    {'o', "output", "FILE", I4Q_OPTION_STRING, FIELD(output),
     "where the result goes, whole or not at all; '-' is standard output (default: out.onnx)",
     I4Q_FILE_RESULT},
    {'f', "force", NULL, I4Q_OPTION_FLAG, FIELD(force), "replace an existing output"},
    {'n', "dry-run", NULL, I4Q_OPTION_FLAG, FIELD(dry_run), "do everything but the writing"},
    {0, "strict", NULL, I4Q_OPTION_FLAG, FIELD(strict),
     "fail, and write no model, when a Conv that was asked for has to stay as it is"},
    {0, "external-data", "W", I4Q_OPTION_STRING, FIELD(external), I4Q_EXTERNAL_DATA_HELP, I4Q_FILE_DATA,
     i4q_layout_word},
    {0, "follow-symlinks", NULL, I4Q_OPTION_FLAG, FIELD(follow_symlinks),
     "read external data through symbolic and hard links, also to outside the model's directory",
     I4Q_FILE_EVERYWHERE},
    {0, "json", "FILE", I4Q_OPTION_STRING, FIELD(json),
     "the report as JSON; '-' is standard output, and then there is no text", I4Q_FILE_OUTPUT},
    {0, "opset", "N", I4Q_OPTION_NUMBER, FIELD(opset),
     "raise ai.onnx to N, at most 25 (default: what the output needs, or the model's own if higher)"},
    {0, "include", "PATTERN", I4Q_OPTION_LIST, FIELD(include),
     "quantize only these Convs; repeatable. Matched against node, weight and torch module names, as plain "
     "text, or as a shell glob if no Conv has that very name"},
    {0, "exclude", "PATTERN", I4Q_OPTION_LIST, FIELD(exclude), "leave these Convs alone; repeatable, wins"},
    {0, "include-from", "FILE", I4Q_OPTION_LIST, FIELD(include_from),
     "patterns to include, one a line; '#' begins a comment, '-' is standard input", I4Q_FILE_INPUT},
    {0, "exclude-from", "FILE", I4Q_OPTION_LIST, FIELD(exclude_from), "patterns to exclude, one a line",
     I4Q_FILE_INPUT},
    {0, "allow-unmatched", NULL, I4Q_OPTION_FLAG, FIELD(allow_unmatched),
     "a pattern that matches no Conv is a note, not an error"},
    {0, "min-weights", "N", I4Q_OPTION_NUMBER, FIELD(min_weights), "Convs with fewer weights stay float"},
    {0, "op-types", "LIST", I4Q_OPTION_STRING, FIELD(op_types),
     "operators to quantize, of Conv, ConvTranspose, Gemm, MatMul, separated by commas (default: Conv)",
     I4Q_FILE_NONE, i4q_conv_op_word},
    {0, "assume-constant", NULL, I4Q_OPTION_FLAG, FIELD(assume_constant),
     "weights that are graph inputs with a default value are constants"},
    {0, "topk", "FILE", I4Q_OPTION_STRING, FIELD(topk),
     "sensitivity JSON: the K most sensitive Convs stay float", I4Q_FILE_INPUT},
    {0, "topk-order", "O", I4Q_OPTION_WORD, FIELD(topk_order),
     "which scores are the sensitive ones: auto, higher-worse or lower-worse (default: auto, as the file "
     "tells)",
     I4Q_FILE_NONE, topk_order_word},
    {0, "rank", "R", I4Q_OPTION_WORD, FIELD(rank),
     "estimate which Convs lose most a byte, in place of --topk: by the errors of their weights (weights) "
     "or, with --calibration, of their outputs (stats)",
     I4Q_FILE_NONE, rank_word},
    {0, "keep", "K", I4Q_OPTION_NUMBER, FIELD(keep),
     "how many Convs --topk or --rank keep (default: the file's k, else 10)"},
    {0, "quantize", "N", I4Q_OPTION_STRING, FIELD(quantize),
     "quantize only the least sensitive measured Convs: N of them, or N%"},
    {0, "target-size", "SIZE", I4Q_OPTION_STRING, FIELD(target_size),
     "keep as many of the most sensitive Convs as still fit: 8500000, 8.5M, 8Mi, or 12% of the input"},
    {0, "bits", "B", I4Q_OPTION_STRING, FIELD(bits),
     "give each Conv one of --choices, so that they lose least with at most B stored bits a weight, scales "
     "and zero points included, as 4.5"},
    {0, "choices", "LIST", I4Q_OPTION_STRING, FIELD(choices),
     "what a Conv may become with --bits, or --target-size: formats, their bits for short, or float, "
     "separated by commas; int4:32 has a scale for each 32 weights (default: 4,4:32,8, with --decode "
     "fused 4,8, with --format packed-u8 or --decode nbits 3,4,5,6,8)",
     I4Q_FILE_NONE, i4q_format_word},
    {0, "keep-format", "F", I4Q_OPTION_WORD, FIELD(keep_format),
     "what Convs kept by --topk, --rank or --min-weights become: float or int8 (default: float)",
     I4Q_FILE_NONE, i4q_format_keep_word},
    {0, "format", "F", I4Q_OPTION_WORD, FIELD(format),
     "how weights are stored: int4, uint4, int8, or packed-u8, which is 4-bit codes in UINT8, decoded by "
     "operators of opset 11; or qonnx, floats behind Quant nodes for FINN and hls4ml (default: int4)",
     I4Q_FILE_NONE, i4q_format_word},
    {0, "import", "W", I4Q_OPTION_WORD, FIELD(import),
     "store weights that stand for integers already (behind Quant, Clip, QuantizeLinear, or FINN's) as "
     "these, "
     "equal in every value: weights; or all: Quant nodes of activations become QuantizeLinear and "
     "DequantizeLinear as well, "
     "those of biases floats. Other weights stay as they are, unless --format or --method is given",
     I4Q_FILE_NONE, import_word},
    {0, "block", "N", I4Q_OPTION_NUMBER, FIELD(block),
     "N consecutive weights share a scale (default: an output channel)"},
    {0, "decode", "D", I4Q_OPTION_WORD, FIELD(decode),
     "how weights become floats: dq, one DequantizeLinear a weight; cast: Cast, Sub and Mul, which ONNX "
     "Runtime folds at load; nbits: Conv, bias and activation as one ConvNBits node, which libint4q_ort.so "
     "computes from the codes and anything else by its function body; fused, with --activations uint8: whole "
     "stretches in 8 bits, which ONNX Runtime (1.23 and later) computes by QLinearConv (default: dq)",
     I4Q_FILE_NONE, i4q_form_word},
    {0, "dq-domain", "D", I4Q_OPTION_WORD, FIELD(dq_domain),
     "the domain of DequantizeLinear: ai.onnx, or com.microsoft, which leaves the opset alone and runs in "
     "ONNX Runtime only (default: ai.onnx)",
     I4Q_FILE_NONE, i4q_form_dq_domain},
    {0, "scale-type", "T", I4Q_OPTION_WORD, FIELD(scale_type),
     "what scales of FLOAT weights are stored as in packed formats: float, float16, or auto, which is "
     "float16 "
     "with --bits or --choices and else float (default: auto)",
     I4Q_FILE_NONE, scale_type_word},
    {0, "allow-other-model", NULL, I4Q_OPTION_FLAG, FIELD(allow_other_model),
     "take --calibration although it was measured on a model with other weights"},
    {0, "scale", "S", I4Q_OPTION_WORD, FIELD(scale),
     "the scale, in place of the method's own: absmax (largest magnitude), signed (the same, with code -8 "
     "used), range (smallest to largest, with a zero point), mse (least squared error of the weights) or "
     "l2.4 "
     "(least sum of |error|^2.4)",
     I4Q_FILE_NONE, i4q_scale_word},
    {0, "asymmetric", NULL, I4Q_OPTION_FLAG, FIELD(asymmetric),
     "with a zero point: --scale range, or with it --scale mse or l2.4"},
    {0, "rounding", "R", I4Q_OPTION_WORD, FIELD(rounding),
     "the rounding, in place of the method's own: nearest, squant, descent or gptq; the last two need "
     "--calibration",
     I4Q_FILE_NONE, i4q_rounding_word},
    {0, "no-bias-correction", NULL, I4Q_OPTION_FLAG, FIELD(no_bias_correction),
     "leave the biases alone, although --calibration tells how to correct them"},
    {0, "activations", "T", I4Q_OPTION_WORD, FIELD(activations),
     "quantize what the chosen Convs read: to uint8, int8, or fewer levels, uint6, uint5, uint4 or int4, "
     "which are stored as 8 bits; needs --calibration (default: they stay float)",
     I4Q_FILE_NONE, i4q_levels_word},
    {0, "activation-range", "R", I4Q_OPTION_WORD, FIELD(activation_range),
     "what the levels reach over: l2.4 (least sum of |error|^2.4), mse (least squared error), minmax, "
     "percentile (99.99 % of the values) or unilateral (minimum to where the squared error is least) "
     "(default: l2.4)",
     I4Q_FILE_NONE, i4q_range_word},
    {0, "activation-scales", "S", I4Q_OPTION_WORD, FIELD(activation_scales),
     "one scale a tensor (tensor), or one a channel, which goes into the weights (channel) (default: tensor)",
     I4Q_FILE_NONE, scales_word},
    {0, "keep-activations", "N|FILE", I4Q_OPTION_LIST, FIELD(keep_activations),
     "at fewer bits, how many tensors get 8, the most sensitive ones by an estimate; or, in place of it, a "
     "file "
     "of measurements in the shapes of --topk, which names tensors (default: its k, or all that it names); "
     "with "
     "--decode fused, what stays float",
     I4Q_FILE_INPUT},
    I4Q_COMMON_OPTIONS,
    {.name = NULL},
};

const struct i4q_option_group i4q_rewrite_groups[] = {
    {"what matters most", "method"},
    {"output", "force"},
    {"which Convs", "include"},
    {"by what they lose", "topk"},
    {"how weights are stored", "format"},
    {"parts of a method", "allow-other-model"},
    {"what Convs read", "activations"},
    I4Q_COMMON_GROUP,
    {NULL},
};

// SPDX-License-Identifier: Apache-2.0
/* int4q restore: load → restore → write → report. */
#include "cli/cli.h"
#include "forms/activation_read.h"
#include "onnx/save.h"
#include "platform/output.h"
#include "platform/terminal.h"
#include "report/export_report.h"
#include "report/kinds.h"
#include "report/restore_json.h"
#include "report/text.h"
#include "rewrite/biases.h"
#include "rewrite/divide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    struct i4q_common common;
    const char *output, *external, *json;
    struct i4q_word as;
    bool force, weights, activations, follow_symlinks, strict;
};

enum { AS_FLOAT, AS_QONNX };

static const char *as_word(size_t index)
{
    static const char *const words[] = {[AS_FLOAT] = "float", [AS_QONNX] = "qonnx"};
    return index < sizeof words / sizeof *words ? words[index] : NULL;
}

#define FIELD(name) offsetof(struct arguments, name)

static const struct i4q_option options[] = {
    {'o', "output", "FILE", I4Q_OPTION_STRING, FIELD(output),
     "where the result goes, whole or not at all; '-' is standard output (default: out.onnx)",
     I4Q_FILE_RESULT},
    {'f', "force", NULL, I4Q_OPTION_FLAG, FIELD(force), "replace an existing output"},
    {0, "as", "FORM", I4Q_OPTION_WORD, FIELD(as),
     "what weights become: float, or qonnx, floats behind Quant nodes for FINN and hls4ml, and activations "
     "likewise (default: float)",
     I4Q_FILE_NONE, as_word},
    {0, "strict", NULL, I4Q_OPTION_FLAG, FIELD(strict),
     "with --as qonnx: fail, and write no model, when something has to stay as it is, or needs more bits "
     "than it has for its zero points"},
    {0, "activations", NULL, I4Q_OPTION_FLAG, FIELD(activations),
     "take out what quantizes activations, and leave weights as they are, unless --weights is given too"},
    {0, "weights", NULL, I4Q_OPTION_FLAG, FIELD(weights),
     "restore weights (the default without --activations)"},
    {0, "follow-symlinks", NULL, I4Q_OPTION_FLAG, FIELD(follow_symlinks),
     "read external data through symbolic and hard links, also to outside the model's directory",
     I4Q_FILE_EVERYWHERE},
    {0, "external-data", "W", I4Q_OPTION_STRING, FIELD(external), I4Q_EXTERNAL_DATA_HELP, I4Q_FILE_DATA,
     i4q_layout_word},
    {0, "json", "FILE", I4Q_OPTION_STRING, FIELD(json),
     "the report as JSON; '-' is standard output, and then there is no text", I4Q_FILE_OUTPUT},
    I4Q_COMMON_OPTIONS,
    {.name = NULL},
};

static const struct i4q_option_group groups[] = {
    {"output", "output"},
    I4Q_COMMON_GROUP,
    {NULL},
};

static const char description[] =
    "Each weight that nodes decode from stored integers becomes a float initializer of exactly these values; "
    "opset and IR version stay. For consumers that do not take 4-bit Convs, and as proof of what a file "
    "holds. With --activations QuantizeLinear and DequantizeLinear of activations go: where their scales "
    "differ, a Mul by the ratio stays. With --as qonnx Quant nodes take the place of both, equal in every "
    "number; zero points other than 0 take a bit more, and blocks stay as they are.";

static const char *const examples[] = {
    "int4q restore out.onnx -o float.onnx",
    "int4q restore --activations w4a8.onnx -o w4.onnx",
    "int4q restore w4a8.onnx --as qonnx -o finn.onnx",
    NULL,
};

struct run {
    struct arguments *arguments;
    struct i4q_arena arena;
    struct i4q_output output, json;
    struct i4q_model model;
    struct i4q_restoration restoration;
    struct i4q_export exported;
    struct i4q_activation_restoration activations;
    size_t n_biases;  /* that were integers */
    size_t n_divided; /* activations, in front of QuantizeLinear */
    struct i4q_layout layout;
    const char *subject; /* what an error is about */
    struct i4q_error *error;
};

/* What --strict does not let pass. */
static bool check_strict(const struct run *run)
{
    const struct i4q_export *exported = &run->exported;
    const struct i4q_activation_restoration *activations = &run->activations;
    for (size_t i = 0; i < exported->n_weights; i++) {
        const struct i4q_exported *weight = exported->weights[i];
        if (weight->reason)
            return i4q_fail(run->error, I4Q_MODEL, "--strict: weight '%s' has to stay as it is: %s",
                            weight->weight.weight, weight->reason);
        if (weight->widened)
            return i4q_fail(run->error, I4Q_MODEL, "--strict: weight '%s' needs %u bits for its zero points",
                            weight->weight.weight, weight->bits);
    }
    for (size_t i = 0; i < activations->count; i++)
        if (activations->activations[i].reason)
            return i4q_fail(run->error, I4Q_MODEL, "--strict: activation '%s' has to stay as it is: %s",
                            activations->activations[i].pair->tensor->name,
                            activations->activations[i].reason);
    return true;
}

/* Why activations stay, where that is one reason for all; NULL: none does, or they differ. */
static const char *common_reason(const struct i4q_activation_restoration *restoration)
{
    const char *found = NULL;
    for (size_t i = 0; i < restoration->count; i++) {
        const char *reason = restoration->activations[i].reason;
        if (reason && found && strcmp(reason, found) != 0)
            return NULL;
        found = reason ? reason : found;
    }
    return found;
}

static bool fail_for_nothing(const struct run *run, bool weights)
{
    const struct i4q_export *exported = &run->exported;
    const char *reason = common_reason(&run->activations);
    if (exported->n_left)
        return i4q_fail(run->error, I4Q_UNMET, "nothing to restore: %zu weights have to stay: %s%s%s",
                        exported->n_left, exported->weights[0]->reason,
                        reason ? ", and quantized activations: " : "", reason ? reason : "");
    if (reason)
        return i4q_fail(run->error, I4Q_UNMET,
                        "nothing to restore: %zu quantized activations have to stay: %s",
                        run->activations.count, reason);
    return i4q_fail(run->error, I4Q_UNMET, "nothing to restore: no %s",
                    weights ? "weight is decoded from integers"
                            : "activation is quantized, or none that can be restored");
}

/* Activations first: weights are found by what reads them. */
static bool take_out(struct run *run, const struct i4q_kernels *kernels)
{
    const struct arguments *a = run->arguments;
    bool qonnx = a->as.index == AS_QONNX, weights = a->weights || !a->activations,
         activations = a->activations || (qonnx && !a->weights);
    enum i4q_activation_aim aim = qonnx ? I4Q_ACTIVATIONS_QUANT : I4Q_ACTIVATIONS_FLOAT;
    if ((activations && !i4q_restore_activations(&run->model, aim, &run->activations, run->error)) ||
        (weights && qonnx && !i4q_export(&run->model, kernels, &run->exported, run->error)) ||
        (weights && !qonnx && !i4q_restore(&run->model, kernels, NULL, &run->restoration, run->error)) ||
        (weights && !qonnx && !i4q_fold_biases(&run->model, &run->n_biases, run->error)) ||
        (weights && !qonnx && !i4q_divide_activations(&run->model, &run->n_divided, run->error)))
        return false;
    if (a->strict && !check_strict(run))
        return false;
    size_t n = run->restoration.n_weights + run->exported.n_weights - run->exported.n_left +
               run->activations.count - run->activations.fates[I4Q_ACTIVATION_LEFT];
    return n || fail_for_nothing(run, weights);
}

static bool open_outputs(struct run *run)
{
    const struct arguments *a = run->arguments;
    run->subject = i4q_cli_output_name(a->output);
    if (!i4q_output_open(&run->output, a->output, a->force ? I4Q_OUTPUT_REPLACE : I4Q_OUTPUT_NEW, run->error))
        return false;
    if (!a->json)
        return true;
    run->subject = i4q_cli_output_name(a->json);
    return i4q_output_open(&run->json, a->json, I4Q_OUTPUT_REPLACE, run->error);
}

static bool restore(struct run *run)
{
    const struct arguments *a = run->arguments;
    const struct i4q_kernels *kernels = i4q_kernels_choose(getenv("INT4Q_CPU"), run->error);
    if (!kernels)
        return false;
    if (a->strict && a->as.index != AS_QONNX)
        return i4q_fail(run->error, I4Q_USAGE, "--strict needs --as qonnx");
    if (i4q_is_dash(a->output) && i4q_stdout_is_terminal())
        return i4q_fail(run->error, I4Q_USAGE, "a model is not written to a terminal");
    if (!open_outputs(run))
        return false;
    run->subject = i4q_cli_input_name(a->common.model);
    if (!i4q_model_load(&run->model, a->common.model, a->follow_symlinks, run->error) ||
        !i4q_cli_check_data(&a->common, &run->model.external, run->error) || !take_out(run, kernels))
        return false;
    run->subject = i4q_cli_output_name(a->output);
    if (!i4q_layout_make(&run->model, a->output, a->external, &run->layout, run->error) ||
        !i4q_layout_write(&run->model, &run->layout, &run->output, run->error))
        return false;
    i4q_cli_has_written(a->output);
    return true;
}

static void print_weights(const struct i4q_restoration *restoration, FILE *stream)
{
    char text[I4Q_TEXT_NAME];
    for (size_t i = 0; i < restoration->n_weights; i++) {
        const struct i4q_restored *restored = &restoration->weights[i];
        fprintf(stream, "%-9s -> float  %10zu  %s\n", restored->storage, restored->count,
                i4q_text_mask(restored->weight, text));
    }
}

static void print_activations(const struct i4q_activation_restoration *restoration, FILE *stream)
{
    static const char *const words[] = {"float", "factor", "quant", "left"};
    char text[I4Q_TEXT_NAME];
    for (size_t i = 0; i < restoration->count; i++) {
        const struct i4q_restored_activation *restored = &restoration->activations[i];
        fprintf(stream, "%-9s -> %-6s %10u bits  %s%s%s\n", restored->pair->codes->name,
                words[restored->fate], restored->pair->bits,
                i4q_text_mask(restored->pair->tensor->name, text), restored->reason ? ": " : "",
                restored->reason ? restored->reason : "");
    }
}

static void print_totals(const struct run *run, FILE *stream)
{
    const struct i4q_restoration *restoration = &run->restoration;
    const size_t *fates = run->activations.fates;
    struct i4q_kinds kinds = {0};
    char text[I4Q_TEXT_NAME];
    for (size_t i = 0; i < restoration->n_weights; i++)
        i4q_kinds_add(&kinds, restoration->weights[i].storage);
    if (restoration->n_weights)
        fprintf(stream, "weights    %zu restored: %s\n", restoration->n_weights,
                i4q_kinds_text(&kinds, true, text));
    i4q_report_export_totals(&run->exported, stream);
    if (run->n_divided)
        fprintf(stream, "activations %zu with a Mul in place of a scale a channel in QuantizeLinear\n",
                run->n_divided);
    if (!run->activations.count)
        return;
    if (run->arguments->as.index == AS_QONNX)
        fprintf(stream, "activations %zu behind Quant", fates[I4Q_ACTIVATION_QUANT]);
    else
        fprintf(stream, "activations %zu restored",
                fates[I4Q_ACTIVATION_GONE] + fates[I4Q_ACTIVATION_FACTOR]);
    if (fates[I4Q_ACTIVATION_FACTOR])
        fprintf(stream, ", %zu of them times the ratio of their scales", fates[I4Q_ACTIVATION_FACTOR]);
    const char *reason = common_reason(&run->activations);
    fprintf(stream, ", %zu left%s%s\n", fates[I4Q_ACTIVATION_LEFT], reason ? ": " : "", reason ? reason : "");
}

static void print(const struct run *run, FILE *stream)
{
    const struct arguments *a = run->arguments;
    char text[I4Q_TEXT_NAME];
    if (i4q_cli_wants_table(&a->common)) {
        print_weights(&run->restoration, stream);
        i4q_report_exported(&run->exported, stream);
        print_activations(&run->activations, stream);
        fputc('\n', stream);
    }
    print_totals(run, stream);
    fprintf(stream, "file       %zu -> %zu bytes\nwritten    %s\n", i4q_model_bytes(&run->model),
            i4q_layout_bytes(&run->layout), i4q_text_mask(a->output, text));
    if (a->as.index == AS_QONNX)
        i4q_report_qonnx_hint(i4q_has_quantized_activations(&run->model.graph), stream);
}

static bool tell(struct run *run)
{
    const struct arguments *a = run->arguments;
    const struct i4q_restore_report report = {
        .model = &run->model,
        .restoration = &run->restoration,
        .exported = &run->exported,
        .activations = &run->activations,
        .input_path = a->common.model,
        .output_path = a->output,
        .input_bytes = i4q_model_bytes(&run->model),
        .output_bytes = i4q_layout_bytes(&run->layout),
    };
    if (a->json) {
        run->subject = i4q_cli_output_name(a->json);
        if (!i4q_cli_write_json(&run->json, i4q_restore_json(&report), run->error))
            return false;
    }
    if (!i4q_is_dash(a->json) && i4q_log_verbosity() > I4Q_QUIET)
        print(run, i4q_is_dash(a->output) ? stderr : stdout);
    return true;
}

static bool carry_out(void *run)
{
    return restore(run) && tell(run);
}

static int run_restore(const struct i4q_command *command, int argc, char **argv)
{
    struct i4q_error error = {0};
    struct arguments arguments = {.output = "out.onnx", .external = "auto"};
    struct run run = {.arguments = &arguments, .subject = command->name, .error = &error};
    i4q_arena_init(&run.arena, SIZE_MAX / 2);
    arguments.common.arena = &run.arena;
    int status = i4q_cli_work(command, argc, argv,
                              &(struct i4q_work){&arguments, carry_out, &run, &run.subject, &error});
    i4q_output_abort(&run.json);
    i4q_output_abort(&run.output);
    i4q_model_free(&run.model);
    i4q_arena_free(&run.arena);
    return status;
}

const struct i4q_command i4q_cmd_restore = {
    .name = "restore",
    .summary = "fold quantized weights back into float initializers, or take Q/DQ of activations out",
    .options = options,
    .groups = groups,
    .description = description,
    .examples = examples,
    .run = run_restore,
};

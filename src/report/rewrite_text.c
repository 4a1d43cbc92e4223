// SPDX-License-Identifier: Apache-2.0
#include "report/rewrite_report.h"

#include "forms/activation_read.h"
#include "plan/fused.h"
#include "plan/quants.h"
#include "report/export_report.h"
#include "report/mixture_report.h"
#include "report/origins.h"
#include "report/rewrite_activations.h"
#include "report/rewrite_figures.h"
#include "report/rewrite_rows.h"
#include "report/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What is kept, but stored in another format, is told apart. */
static void print_convs(const struct i4q_plan *plan, FILE *stream)
{
    size_t others = 0, imported = i4q_count_rows(plan, I4Q_REASON_IMPORTED);
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        others += row->reason && row->weight && row->weight->recipe == &plan->kept;
    }
    fprintf(stream, "convs      %zu of %zu quantized to %s, ", plan->n_quantized, plan->n_rows,
            plan->mixture ? "a mixture" : plan->target.format->name);
    if (others)
        fprintf(stream, "%zu to %s, ", others, plan->kept.format->name);
    if (imported)
        fprintf(stream, "%zu imported, ", imported);
    fprintf(stream, "%zu kept\n", plan->n_rows - plan->n_quantized - others - imported);
}

static void print_reasons(const struct i4q_plan *plan, FILE *stream)
{
    size_t counts[I4Q_REASONS] = {0};
    for (size_t i = 0; i < plan->n_rows; i++)
        counts[plan->rows[i].reason]++;
    for (enum i4q_reason r = 1; r < I4Q_REASONS; r++)
        if (counts[r] && i4q_reasons[r].word)
            fprintf(stream, "           %zu %s: %s\n", counts[r], i4q_reasons[r].word,
                    i4q_reason_meaning(r, plan->estimated));
}

/* "8 Split, 1 ReduceMax", in the order of their first use. */
static void print_upgrades(const struct i4q_upgrade *upgrades, FILE *stream)
{
    const char *separator = "upgraded   ";
    for (const struct i4q_upgrade *first = upgrades; first; first = first->next) {
        bool seen = false;
        size_t count = 0;
        for (const struct i4q_upgrade *other = upgrades; other != first && !seen; other = other->next)
            seen = strcmp(other->op, first->op) == 0;
        for (const struct i4q_upgrade *other = first; other && !seen; other = other->next)
            count += strcmp(other->op, first->op) == 0;
        if (!seen) {
            fprintf(stream, "%s%zu %s", separator, count, first->op);
            separator = ", ";
        }
    }
    if (upgrades)
        fputc('\n', stream);
}

/* What becomes of those that are kept. */
static void print_kept(const struct i4q_plan *plan, const char *which, FILE *stream)
{
    size_t kept = 0, stored = 0;
    for (size_t i = 0; i < plan->n_rows; i++)
        if (plan->rows[i].reason == I4Q_REASON_SENSITIVE) {
            kept++;
            stored += plan->rows[i].weight->recipe != NULL;
        }
    if (!kept) {
        fputs(", none is kept", stream);
        return;
    }
    fprintf(stream, ", the %zu %s ", kept, which);
    if (stored)
        fprintf(stream, "become %s", plan->kept.format->name);
    if (stored && stored < kept)
        fprintf(stream, " but for %zu, which ", kept - stored);
    if (stored < kept)
        fputs("stay as they are", stream);
    if (plan->keep_is_default)
        fprintf(stream, " (--keep is %zu by default)", plan->keep);
}

static void print_topk(const struct i4q_report *report, FILE *stream)
{
    const struct i4q_plan *plan = report->plan;
    const struct i4q_sensitivity *sensitivity = &plan->sensitivity;
    if (!plan->has_sensitivity)
        return;
    char path[I4Q_TEXT_NAME];
    if (plan->estimated) {
        fputs("rank       by estimated loss a byte", stream);
        print_kept(plan, "worst", stream);
        fputs("; a measured --topk may know better\n", stream);
        return;
    }
    fprintf(stream, "topk       %s: %zu entries", i4q_text_mask(report->topk_path, path),
            sensitivity->entries);
    if (plan->has_keep)
        print_kept(plan, "most sensitive", stream);
    fputc('\n', stream);
    for (size_t i = 0; i < sensitivity->unmatched.count; i++) {
        char name[I4Q_TEXT_NAME];
        fprintf(stream, "           matches no Conv: %s\n",
                i4q_text_mask(sensitivity->unmatched.items[i], name));
    }
}

static void print_notes(const struct i4q_plan *plan, FILE *stream)
{
    for (size_t i = 0; i < plan->notes.count; i++) {
        char note[I4Q_TEXT_NAME];
        fprintf(stream, "note       %s\n", i4q_text_mask(plan->notes.items[i], note));
    }
}

/* What ONNX Runtime does with the result; DequantizeLinear and plain operators differ. */
static const char *const HINTS[] = {
    [I4Q_DECODES_EVERY_RUN] = "hint       ONNX Runtime (1.19 and later) decodes these weights again on every "
                              "run: small memory, fast\n"
                              "           load. With the session option session.disable_quant_qdq=1, or "
                              "rewritten with --decode cast,\n"
                              "           it decodes once, at load: float speed and float memory.\n",
    [I4Q_DECODES_ONCE] = "hint       ONNX Runtime decodes these weights once, at load: float speed and float "
                         "memory. Written by\n"
                         "           --format int4 --decode dq they stay small in memory and are decoded "
                         "again on every run.\n",
    [I4Q_COMPUTES] = "hint       with libint4q_ort.so registered ONNX Runtime (1.19 and later) computes from "
                     "these weights; without it,\n"
                     "           it runs the function body in the file, as slow as DequantizeLinear: see "
                     "docs/conv_nbits.md\n",
    [I4Q_FUSES] =
        "hint       ONNX Runtime (1.23 and later) makes INT8 of these weights at load, and computes Convs "
        "between\n"
        "           quantized activations from it: QLinearConv\n",
};

static const char HINT_MATMUL[] =
    "           DequantizeLinear before Gemm and MatMul becomes MatMulNBits, which may round activations "
    "too:\n"
    "           session.qdq_matmulnbits_accuracy_level=1 keeps them in float.\n";

static const char HINT_SATURATES[] = "           Those with 8-bit weights saturate on x86-64 CPUs without "
                                     "VNNI, and lose accuracy, unless the\n"
                                     "           session option session.x64quantprecision=1 is set.\n";

/* Whether some Conv computes from 8-bit weights in 8 bits. */
static bool may_saturate(const struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_rows; i++)
        if (plan->rows[i].computes && plan->rows[i].weight->job->format->fine)
            return true;
    return false;
}

/* As the result does, of which the plan adds some. */
static bool quantizes_activations(const struct i4q_plan *plan)
{
    bool adds = false;
    for (size_t i = 0; i < plan->n_activations; i++)
        adds |= !plan->activations[i].reason;
    return adds || i4q_has_quantized_activations(&plan->facts->model->graph);
}

static void print_hint(const struct i4q_plan *plan, FILE *stream)
{
    const struct i4q_recipe *target = &plan->target;
    if (i4q_plan_first_left(plan)) /* no ONNX Runtime runs the result */
        return;
    if (target->format->floats) {
        i4q_report_qonnx_hint(quantizes_activations(plan), stream);
        return;
    }
    bool unpacks = target->format->packed && target->form->execution != I4Q_COMPUTES;
    bool in_float = plan->fused && !plan->fused->n_convs;
    enum i4q_execution execution = unpacks || in_float ? I4Q_DECODES_ONCE : target->form->execution;
    bool matmul = false;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        matmul |= weight->recipe && weight->fact->op->greatest_rank == 2;
        if (plan->mixture && !plan->fused && weight->recipe &&
            weight->form->execution == I4Q_DECODES_EVERY_RUN)
            execution = I4Q_DECODES_EVERY_RUN;
    }
    fputs(HINTS[execution], stream);
    if (matmul && execution == I4Q_DECODES_EVERY_RUN)
        fputs(HINT_MATMUL, stream);
    if (may_saturate(plan))
        fputs(HINT_SATURATES, stream);
}

static void print_files(const struct i4q_report *report, FILE *stream)
{
    const struct i4q_rewrite *rewrite = report->rewrite;
    char path[I4Q_TEXT_NAME];
    fprintf(stream, "file       %zu -> %zu bytes, ratio %.2f\n", report->input_bytes, report->output_bytes,
            (double)report->input_bytes / (double)report->output_bytes);
    fprintf(stream, "opset      %" PRId64 " -> %" PRId64 ", IR version %" PRId64 " -> %" PRId64 "\n",
            rewrite->opset[0], rewrite->opset[1], rewrite->ir_version[0], rewrite->ir_version[1]);
    print_upgrades(rewrite->upgrades, stream);
    if (rewrite->inputs_dropped)
        fprintf(stream, "inputs     %zu initializers left graph.input: they are constants\n",
                rewrite->inputs_dropped);
    fprintf(stream,
            report->written   ? "written    %s\n"
            : report->dry_run ? "dry run    nothing written to %s\n"
                              : "           nothing written to %s\n",
            i4q_text_mask(report->output_path, path));
}

void i4q_report_text(const struct i4q_report *report, FILE *stream)
{
    const struct i4q_plan *plan = report->plan;
    size_t weights, quantized;
    i4q_count_weights(plan, &weights, &quantized);
    i4q_report_rows(report, stream);
    print_convs(plan, stream);
    i4q_mixture_print_convs(report, stream);
    print_reasons(plan, stream);
    fprintf(stream, "weights    %zu of %zu quantized\n", quantized, weights);
    i4q_report_imported(plan, stream);
    i4q_report_quants(plan, stream);
    i4q_report_errors(report, stream);
    i4q_report_activations_text(plan, stream);
    print_topk(report, stream);
    i4q_mixture_print_budget(report, stream);
    print_notes(plan, stream);
    if (i4q_plan_writes(plan)) {
        print_files(report, stream);
        print_hint(plan, stream);
    }
    i4q_report_importable(plan, stream);
}

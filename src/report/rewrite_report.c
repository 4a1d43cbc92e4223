// SPDX-License-Identifier: Apache-2.0
#include "report/rewrite_report.h"

#include "base/elementary.h"
#include "base/json.h"
#include "forms/form.h"
#include "report/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* One Conv, ready to be told. */
struct told {
    struct i4q_storage before; /* as it was in the input */
    const char *storage;       /* as it is in the output */
    size_t bytes_before, bytes_after;
    double sqnr_db, max_error; /* NAN where there is none, as all that follow */
    double drift, clipped, moved, output_sqnr_db;
};

static double decibels(double signal, double noise)
{
    return signal > 0 && noise > 0 ? 10 * i4q_log10(signal / noise) : NAN;
}

static struct told tell(const struct i4q_report *report, const struct i4q_plan_row *row)
{
    struct told told = {
        .sqnr_db = NAN, .max_error = NAN, .drift = NAN, .clipped = NAN, .moved = NAN, .output_sqnr_db = NAN};
    i4q_storage_describe(&report->plan->facts->model->arena, row->conv, &told.before);
    told.storage = told.before.name;
    told.bytes_before = told.bytes_after = told.before.bytes;
    if (row->weight && row->weight->recipe) {
        told.storage = row->weight->recipe->format->name;
        told.bytes_after = i4q_plan_weight_bytes(row->weight);
        told.sqnr_db = row->weight->job->sqnr_db;
        told.max_error = row->weight->job->max_error;
        told.drift = row->weight->job->drift;
        told.clipped = (double)row->weight->job->clipped;
        told.moved = (double)row->weight->job->moved;
        told.output_sqnr_db = decibels(row->weight->job->output_signal, row->weight->job->output_noise);
    }
    return told;
}

/* Weights of all Convs, one that several share counted once. */
static void count_weights(const struct i4q_plan *plan, size_t *all, size_t *quantized)
{
    *all = *quantized = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        bool chosen = weight->recipe && weight->recipe->format == plan->target.format;
        *all += weight->fact->tensor.count;
        *quantized += chosen ? weight->fact->tensor.count : 0;
    }
}

/* What quantization does on average, weight by weight: -10 log10 of the mean noise-to-signal ratio; NAN where
 * nothing is known. */
struct average {
    double weights_db, outputs_db;
};

static struct average average_error(const struct i4q_plan *plan)
{
    double weights = 0, outputs = 0;
    size_t n = 0, n_outputs = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_quantize_job *job = plan->weights[i].job;
        if (!plan->weights[i].recipe || !(job->signal > 0))
            continue;
        weights += job->noise / job->signal;
        n++;
        outputs += job->output_signal > 0 ? job->output_noise / job->output_signal : 0;
        n_outputs += job->output_signal > 0;
    }
    return (struct average){decibels((double)n, weights), decibels((double)n_outputs, outputs)};
}

/* ---- text */

static void print_row(const struct i4q_report *report, const struct i4q_plan_row *row, int name_width,
                      FILE *stream)
{
    struct told told = tell(report, row);
    char name[I4Q_TEXT_NAME], shape[I4Q_TEXT_SHAPE], sqnr[32] = "-", kept[64];
    snprintf(kept, sizeof kept, "%s (%s)", told.storage, row->reason ? i4q_reasons[row->reason].word : "");
    if (isfinite(told.sqnr_db))
        snprintf(sqnr, sizeof sqnr, "%.2f", told.sqnr_db);
    fprintf(stream, "%-*s  %-15s %9zu  %-26s %10zu -> %9zu  %7s\n", name_width,
            i4q_text_name(row->conv->node->proto, name), i4q_text_shape(&told.before, shape),
            told.before.count, row->reason ? kept : told.storage, told.bytes_before, told.bytes_after, sqnr);
}

static void print_rows(const struct i4q_report *report, FILE *stream)
{
    const struct i4q_plan *plan = report->plan;
    int width = i4q_text_name_width(plan->facts->convs, plan->n_rows);
    fprintf(stream, "%-*s  %-15s %9s  %-26s %10s -> %9s  %7s\n", width, "conv", "shape", "weights",
            "stored as", "bytes", "bytes", "SQNR dB");
    for (size_t i = 0; i < plan->n_rows; i++)
        print_row(report, &plan->rows[i], width, stream);
}

/* What is kept, but stored in another format, is told apart. */
static void print_convs(const struct i4q_plan *plan, FILE *stream)
{
    size_t others = 0;
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        others += row->reason && row->weight && row->weight->recipe;
    }
    fprintf(stream, "\nconvs      %zu of %zu quantized to %s, ", plan->n_quantized, plan->n_rows,
            plan->target.format->name);
    if (others)
        fprintf(stream, "%zu to %s, ", others, plan->kept.format->name);
    fprintf(stream, "%zu kept\n", plan->n_rows - plan->n_quantized - others);
}

static void print_reasons(const struct i4q_plan *plan, FILE *stream)
{
    size_t counts[I4Q_REASONS] = {0};
    for (size_t i = 0; i < plan->n_rows; i++)
        counts[plan->rows[i].reason]++;
    for (size_t r = 1; r < I4Q_REASONS; r++)
        if (counts[r])
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
};

static const char HINT_MATMUL[] =
    "           DequantizeLinear before Gemm and MatMul becomes MatMulNBits, which may round activations "
    "too:\n"
    "           session.qdq_matmulnbits_accuracy_level=1 keeps them in float.\n";

static void print_average(const struct i4q_plan *plan, FILE *stream)
{
    struct average average = average_error(plan);
    if (isfinite(average.weights_db))
        fprintf(stream, "error      weights %.1f dB on average", average.weights_db);
    if (isfinite(average.outputs_db))
        fprintf(stream, ", outputs of their Convs %.1f dB (estimated from the statistics)",
                average.outputs_db);
    if (isfinite(average.weights_db))
        fputc('\n', stream);
}

/* The default is the definition, not the best. */
static const char HINT_METHOD[] =
    "hint       absmax at 4 bits costs a detector most of its accuracy: --method squant takes as many "
    "bytes,\n"
    "           no images, and milliseconds; --method calibrated takes some images and seconds, see "
    "scripts/calibrate.py\n";

static void print_hint(const struct i4q_plan *plan, FILE *stream)
{
    if (plan->n_quantized && !plan->target.format->fine && plan->target.method.rounding == I4Q_ROUND_NEAREST)
        fputs(HINT_METHOD, stream);
    const struct i4q_recipe *target = &plan->target;
    enum i4q_execution execution = target->format->packed ? I4Q_DECODES_ONCE : target->form->execution;
    bool matmul = false;
    for (size_t i = 0; i < plan->n_weights; i++)
        matmul |= plan->weights[i].recipe && plan->weights[i].fact->op->greatest_rank == 2;
    fputs(HINTS[execution], stream);
    if (matmul && execution == I4Q_DECODES_EVERY_RUN)
        fputs(HINT_MATMUL, stream);
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
    count_weights(plan, &weights, &quantized);
    print_rows(report, stream);
    print_convs(plan, stream);
    print_reasons(plan, stream);
    fprintf(stream, "weights    %zu of %zu quantized\n", quantized, weights);
    print_average(plan, stream);
    print_topk(report, stream);
    print_notes(plan, stream);
    if (plan->n_stored) {
        print_files(report, stream);
        print_hint(plan, stream);
    }
}

/* ---- JSON */

/* A size of what is stored; null where it is not known what is. */
static json_t *stored(const struct told *told, size_t value)
{
    return told->before.codes ? i4q_json_size(value) : json_null();
}

static json_t *row_json(const struct i4q_report *report, const struct i4q_plan_row *row)
{
    const struct i4q_conv *conv = row->conv;
    const struct told told = tell(report, row);
    bool scored = row->measurement.present && report->plan->sensitivity.scored;
    json_t *json = json_object();
    i4q_json_put(&json, "node", i4q_json_text(i4q_text(conv->node->proto->name)));
    i4q_json_put(&json, "op", json_string(conv->op->op_type));
    i4q_json_put(&json, "weight", i4q_json_text(conv->weight->name));
    i4q_json_put(&json, "shape", i4q_json_dims(told.before.dims, told.before.rank));
    i4q_json_put(&json, "weights", stored(&told, told.before.count));
    i4q_json_put(&json, "storage", json_string(told.storage));
    i4q_json_put(&json, "reason", i4q_json_text(i4q_reasons[row->reason].word));
    i4q_json_put(&json, "sensitivity", i4q_json_real(scored ? row->measurement.score : NAN));
    i4q_json_put(&json, "bytes_before", stored(&told, told.bytes_before));
    i4q_json_put(&json, "bytes_after", stored(&told, told.bytes_after));
    i4q_json_put(&json, "sqnr_db", i4q_json_real(told.sqnr_db));
    i4q_json_put(&json, "max_error", i4q_json_real(told.max_error));
    i4q_json_put(&json, "drift", i4q_json_real(told.drift));
    i4q_json_put(&json, "clipped",
                 isnan(told.clipped) ? json_null() : json_integer((json_int_t)told.clipped));
    i4q_json_put(&json, "moved", isnan(told.moved) ? json_null() : json_integer((json_int_t)told.moved));
    i4q_json_put(&json, "output_sqnr_db", i4q_json_real(told.output_sqnr_db));
    return json;
}

static json_t *rows_json(const struct i4q_report *report)
{
    const struct i4q_plan *plan = report->plan;
    json_t *rows = json_array();
    for (size_t i = 0; i < plan->n_rows; i++)
        i4q_json_add(&rows, row_json(report, &plan->rows[i]));
    return rows;
}

static json_t *topk_json(const struct i4q_report *report)
{
    const struct i4q_plan *plan = report->plan;
    if (!plan->has_sensitivity)
        return json_null();
    json_t *json = json_object();
    i4q_json_put(&json, "path", i4q_json_text(report->topk_path));
    i4q_json_put(&json, "entries", i4q_json_size(plan->sensitivity.entries));
    i4q_json_put(&json, "keep", plan->has_keep ? i4q_json_size(plan->keep) : json_null());
    i4q_json_put(&json, "unmatched",
                 i4q_json_texts(plan->sensitivity.unmatched.items, plan->sensitivity.unmatched.count));
    return json;
}

static json_t *upgrade_json(const struct i4q_upgrade *upgrade)
{
    json_t *json = json_object();
    i4q_json_put(&json, "node", i4q_json_text(upgrade->node));
    i4q_json_put(&json, "op", json_string(upgrade->op));
    i4q_json_put(&json, "from", json_integer(upgrade->from));
    i4q_json_put(&json, "to", json_integer(upgrade->to));
    return json;
}

static json_t *upgrades_json(const struct i4q_upgrade *upgrade)
{
    json_t *array = json_array();
    for (; upgrade; upgrade = upgrade->next)
        i4q_json_add(&array, upgrade_json(upgrade));
    return array;
}

static json_t *file_json(const char *path, json_t *bytes, int64_t ir_version, int64_t opset)
{
    json_t *json = json_object();
    i4q_json_put(&json, "path", i4q_json_text(path));
    i4q_json_put(&json, "bytes", bytes);
    i4q_json_put(&json, "ir_version", json_integer(ir_version));
    i4q_json_put(&json, "opset", json_integer(opset));
    return json;
}

static json_t *options_json(const struct i4q_plan *plan)
{
    const struct i4q_recipe *target = &plan->target;
    json_t *json = json_object();
    i4q_json_put(&json, "format", json_string(target->format->name));
    i4q_json_put(&json, "method", json_string(target->method.name));
    i4q_json_put(&json, "decode", json_string(target->form->word));
    i4q_json_put(&json, "dq_domain", json_string(target->form->domain ? target->form->domain : "ai.onnx"));
    i4q_json_put(&json, "block", i4q_json_size(target->block));
    i4q_json_put(&json, "keep_format", json_string(plan->kept.format ? plan->kept.format->name : "float"));
    return json;
}

static json_t *totals_json(const struct i4q_plan *plan)
{
    struct average average = average_error(plan);
    size_t weights, quantized;
    count_weights(plan, &weights, &quantized);
    json_t *json = json_object();
    i4q_json_put(&json, "convs", i4q_json_size(plan->n_rows));
    i4q_json_put(&json, "quantized", i4q_json_size(plan->n_quantized));
    i4q_json_put(&json, "kept", i4q_json_size(plan->n_rows - plan->n_quantized));
    i4q_json_put(&json, "weights", i4q_json_size(weights));
    i4q_json_put(&json, "weights_quantized", i4q_json_size(quantized));
    i4q_json_put(&json, "sqnr_db", i4q_json_real(average.weights_db));
    i4q_json_put(&json, "output_sqnr_db", i4q_json_real(average.outputs_db));
    return json;
}

json_t *i4q_report_json(const struct i4q_report *report)
{
    const struct i4q_plan *plan = report->plan;
    const struct i4q_rewrite *rewrite = report->rewrite;
    json_t *output_bytes = plan->n_stored ? i4q_json_size(report->output_bytes) : json_null();
    json_t *json = json_object();
    i4q_json_put(&json, "schema", json_integer(1));
    i4q_json_put(&json, "command", json_string("rewrite"));
    i4q_json_put(&json, "version", json_string(INT4Q_VERSION));
    i4q_json_put(&json, "dry_run", json_boolean(report->dry_run));
    i4q_json_put(&json, "written", json_boolean(report->written));
    i4q_json_put(&json, "input",
                 file_json(report->input_path, i4q_json_size(report->input_bytes), rewrite->ir_version[0],
                           rewrite->opset[0]));
    i4q_json_put(&json, "output",
                 file_json(report->output_path, output_bytes, rewrite->ir_version[1], rewrite->opset[1]));
    i4q_json_put(&json, "options", options_json(plan));
    i4q_json_put(&json, "convs", rows_json(report));
    i4q_json_put(&json, "totals", totals_json(plan));
    i4q_json_put(&json, "topk", topk_json(report));
    i4q_json_put(&json, "upgrades", upgrades_json(rewrite->upgrades));
    i4q_json_put(&json, "inputs_dropped", i4q_json_size(rewrite->inputs_dropped));
    i4q_json_put(&json, "notes", i4q_json_texts(plan->notes.items, plan->notes.count));
    return json;
}

// SPDX-License-Identifier: Apache-2.0
/* The whole rewrite. Whatever the kernels and threads, it gives the same bytes; they are as many as the price
 * of the plan, load again without problems that the model did not have before, hold what the plan promised,
 * and can be restored. Estimates, prices and other plans for the same model leave no trace.
 *
 * The model tells its own options, so that every model is an input: the bits of model_version, and as free
 * text a sensitivity JSON (doc_string), an --include (producer_version) and an --exclude pattern (domain).
 * The tool reads none of these fields. */
#include "model_target.h"

#include "inspect/comparison.h"
#include "plan/apply.h"
#include "plan/planner.h"
#include "plan/rank.h"
#include "report/rewrite_report.h"
#include "rewrite/price.h"
#include "rewrite/restore.h"
#include "rewrite/rewrite.h"

#include <string.h>

/* ---- options */

struct options {
    unsigned ops;
    struct i4q_plan_options plan;
    int64_t opset;
};

/* The lowest `n` of the bits, which are used up. */
static unsigned take(uint64_t *bits, unsigned n)
{
    unsigned taken = (unsigned)(*bits & ((1u << n) - 1));
    *bits >>= n;
    return taken;
}

/* Combinations that the command line refuses become others. */
static void take_recipes(uint64_t *bits, struct i4q_plan_options *options)
{
    static const size_t blocks[] = {0, 2, 3, 16};
    const struct i4q_format *format = &i4q_formats[take(bits, 2)];
    bool keep = take(bits, 1), cast = take(bits, 1) && !format->packed;
    size_t block = blocks[take(bits, 2)];
    bool microsoft = take(bits, 1) && !format->packed && !cast;
    options->target = (struct i4q_recipe){
        .format = format,
        .form = cast        ? &i4q_form_cast
                : microsoft ? &i4q_form_dq_microsoft
                            : &i4q_form_dq,
        .block = format->packed || microsoft ? 0 : block,
    };
    options->kept = (struct i4q_recipe){
        .format = keep ? i4q_format_find("int8") : NULL,
        .form = options->target.form,
        .method = i4q_methods[0],
    };
}

/* Methods that need no statistics; 8 bits have but one. */
static struct i4q_method take_method(uint64_t *bits, const struct i4q_format *format)
{
    struct i4q_method method = i4q_methods[0];
    if (format->fine)
        return method;
    method.scale = (enum i4q_scale_choice)(take(bits, 2) % 3);
    method.rounding = take(bits, 1) ? I4Q_ROUND_SQUANT : I4Q_ROUND_NEAREST;
    method.propagate = take(bits, 1);
    if (take(bits, 1))
        method.scale = take(bits, 1) ? I4Q_SCALE_MSE : I4Q_SCALE_L24;
    method.asymmetric = method.scale == I4Q_SCALE_RANGE || (i4q_method_searches(&method) && take(bits, 1));
    return method;
}

static unsigned take_ops(uint64_t *bits)
{
    static const char *const names[] = {"ConvTranspose", "Gemm", "MatMul"};
    unsigned ops = i4q_ops_conv();
    for (size_t i = 0; i < 3; i++)
        ops |= take(bits, 1) ? i4q_conv_op_bits(names[i]) : 0;
    return ops;
}

static void add_pattern(struct i4q_model *model, struct i4q_patterns *patterns, const char *text)
{
    if (*i4q_text(text))
        REQUIRE(i4q_patterns_add(&model->arena, patterns, text));
}

static void read_ranking(const char *json, uint64_t *bits, struct i4q_plan_options *options)
{
    if (!*i4q_text(json))
        return;
    options->topk = "topk.json";
    options->topk_json = (struct i4q_view){(const uint8_t *)json, strlen(json)};
    options->order = (enum i4q_topk_order)(take(bits, 2) % 3);
    options->ranking.has_count = take(bits, 1);
    options->ranking.mode = (enum i4q_rank_mode)(take(bits, 2) % 3);
    options->ranking.count = take(bits, 2);
}

static struct options read_options(struct i4q_model *model)
{
    const Onnx__ModelProto *proto = model->proto;
    uint64_t bits = (uint64_t)proto->model_version;
    struct options options = {.plan.threads = 1};
    struct i4q_plan_options *plan = &options.plan;
    take_recipes(&bits, plan);
    options.ops = take_ops(&bits);
    plan->assume_constant = take(&bits, 1);
    plan->allow_unmatched = take(&bits, 1);
    plan->min_weights = take(&bits, 1) ? 20 : 0;
    options.opset = take(&bits, 5) % (I4Q_OPSET_MAX + 1);
    add_pattern(model, &plan->include, proto->producer_version);
    add_pattern(model, &plan->exclude, proto->domain);
    plan->only_included = plan->include.count > 0;
    read_ranking(proto->doc_string, &bits, plan);
    plan->target.method = take_method(&bits, plan->target.format);
    plan->correct_bias = plan->target.method.propagate;
    return options;
}

/* ---- one run */

struct run {
    struct i4q_arena arena; /* of estimates */
    struct i4q_model model;
    struct options options;
    struct i4q_weights weights;
    struct i4q_plan plan;
    struct i4q_rewrite rewrite;
};

/* The size of what will be written, by another plan for the same model. */
static bool find_price(struct run *run, const struct i4q_kernels *kernels, size_t *bytes,
                       struct i4q_error *error)
{
    const double *losses;
    struct i4q_plan plan;
    const struct i4q_estimate estimate = {
        .facts = &run->weights, .options = &run->options.plan, .kernels = kernels, .threads = 1};
    const struct i4q_destination to = {target_output_path(), "auto", run->options.opset};
    return i4q_estimate_losses(&estimate, &run->arena, &losses, error) &&
           i4q_plan_make(&run->weights, &run->options.plan, &plan, error) &&
           i4q_price(&plan, &to, bytes, error);
}

/* False: the model or its options are refused, or there is nothing to quantize. `price`, where it is not
 * NULL, receives that of the plan. */
static bool rewrite(struct run *run, const uint8_t *data, size_t size, const struct i4q_kernels *kernels,
                    unsigned threads, size_t *price)
{
    struct i4q_error error = {0};
    if (!target_load(&run->model, data, size))
        return false;
    run->options = read_options(&run->model);
    i4q_arena_init(&run->arena, SIZE_MAX / 2);
    bool ok = i4q_weights_find(&run->model, run->options.ops, false, &run->weights, &error) &&
              (!price || find_price(run, kernels, price, &error)) &&
              i4q_plan_make(&run->weights, &run->options.plan, &run->plan, &error) &&
              i4q_plan_quantize(&run->plan, kernels, threads, &error) &&
              i4q_rewrite_apply(&run->plan, run->options.opset, &run->rewrite, &error);
    REQUIRE_OK(ok || error.code == I4Q_MODEL || error.code == I4Q_USAGE, error);
    i4q_arena_free(&run->arena);
    if (ok && run->plan.n_stored)
        return true;
    i4q_model_free(&run->model);
    return false;
}

/* ---- what must hold */

static void check_reports(const struct run *run, size_t input_bytes, size_t output_bytes)
{
    const struct i4q_report report = {
        .plan = &run->plan,
        .rewrite = &run->rewrite,
        .input_path = "model.onnx",
        .output_path = "out.onnx",
        .topk_path = run->options.plan.topk,
        .input_bytes = input_bytes,
        .output_bytes = output_bytes,
        .written = true,
    };
    FILE *stream = target_text_open();
    i4q_report_text(&report, stream);
    target_text_close(stream);
    target_check_json(i4q_report_json(&report));
}

/* The result has the Convs that the plan promised, and no problem unless the model had some; how it differs
 * from the model can be told. */
static void check_inspection(const struct run *run, struct i4q_model *written, const uint8_t *data,
                             size_t size)
{
    struct i4q_model original;
    struct i4q_inspection before, after;
    struct i4q_error error = {0};
    REQUIRE(target_load(&original, data, size));
    if (target_inspect(&original, target_best_kernels(), &before)) {
        const char *kind = run->plan.target.format->name;
        REQUIRE(target_inspect(written, target_best_kernels(), &after));
        for (size_t i = 0; i < after.problems.count && !before.problems.count; i++)
            fprintf(stderr, "%s\n", after.problems.items[i]);
        REQUIRE(before.problems.count || !after.problems.count);
        REQUIRE(i4q_inspection_total(&after, kind) >=
                i4q_inspection_total(&before, kind) + run->plan.n_quantized);
        REQUIRE_OK(i4q_compare(&after, &original, target_best_kernels(), &error) || error.code == I4Q_MODEL,
                   error);
    }
    i4q_model_free(&original);
}

/* Changes `written`. A sound model can hold decoders of others that are not; that is then an error. */
static void check_restore(const struct run *run, struct i4q_model *written)
{
    struct i4q_restoration restoration;
    struct i4q_model restored;
    struct i4q_error error = {0};
    if (!i4q_restore(written, target_best_kernels(), NULL, &restoration, &error)) {
        REQUIRE_OK(error.code == I4Q_MODEL, error);
        return;
    }
    REQUIRE(restoration.n_weights >= run->plan.n_stored);
    target_write(written, &restored);
    i4q_model_free(&restored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run one, other;
    struct i4q_model written, again;
    size_t price;
    target_begin();
    if (rewrite(&one, data, size, target_best_kernels(), 1, &price)) {
        REQUIRE(rewrite(&other, data, size, target_scalar_kernels(), 2, NULL));
        target_write(&one.model, &written);
        REQUIRE(i4q_model_bytes(&written) == price);
        target_write(&other.model, &again);
        target_require_equal(&written, &again);
        check_reports(&one, size, i4q_model_bytes(&written));
        check_inspection(&one, &again, data, size);
        check_restore(&one, &written);
        i4q_model_free(&again);
        i4q_model_free(&written);
        i4q_model_free(&other.model);
        i4q_model_free(&one.model);
    }
    target_end();
    return 0;
}

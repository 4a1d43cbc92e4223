// SPDX-License-Identifier: Apache-2.0
/* The second half of planning: what only the numbers tell, and in which form each weight is stored. */
#include "plan/plan.h"

#include "forms/form.h"
#include "plan/bias.h"
#include "plan/means/propagate.h"
#include "platform/terminal.h"
#include "quantize/rows.h"

#include <stdatomic.h>

/* Targets up to here have scales that their type can hold. */
static const float MOST_HALF = 65504, MOST_FLOAT = 0x1p100f;

/* ---- what the Convs that read a weight want of it */

struct claims {
    bool chosen; /* some Conv wants it in the target's format */
    bool kept;   /* some Conv is to be kept, in the format for that */
    bool left;   /* some Conv has to be left as it is */
};

static bool is_kept(enum i4q_reason reason)
{
    return reason == I4Q_REASON_SENSITIVE || reason == I4Q_REASON_SMALL;
}

static struct claims *collect_claims(struct i4q_model *model, const struct i4q_plan *plan)
{
    struct claims *claims = i4q_arena_alloc(&model->arena, plan->n_weights, sizeof *claims);
    for (size_t i = 0; claims && i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (!row->weight)
            continue;
        struct claims *claim = &claims[row->weight - plan->weights];
        claim->chosen |= !row->reason;
        claim->kept |= is_kept(row->reason);
        claim->left |= row->reason && !is_kept(row->reason);
    }
    return claims;
}

/* The format that all of them agree on; NULL: stays as it is. */
static const struct i4q_format *agreed_format(const struct i4q_plan *plan, const struct claims *claim)
{
    if (claim->left)
        return NULL;
    return claim->kept ? plan->target.keep_format : plan->target.format;
}

/* ---- forms */

/* Blocks need consecutive channels that are longer than a block; what is kept stays per channel. */
static size_t choose_block(const struct i4q_plan *plan, const struct i4q_weight *weight)
{
    bool possible = weight->format == plan->target.format && weight->op->is_conv &&
                    i4q_weight_inner(weight) > plan->target.block;
    return possible ? plan->target.block : 0;
}

/* ---- jobs */

static bool make_job(struct i4q_model *model, const struct i4q_plan *plan, struct i4q_weight *weight,
                     struct i4q_quantize_job *job)
{
    size_t channels = i4q_weight_channels(weight), inner = i4q_weight_inner(weight);
    bool half = weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    *job = (struct i4q_quantize_job){
        .format = weight->format,
        .outer = weight->tensor.count / (channels * inner),
        .channels = channels,
        .inner = inner,
        .block = choose_block(plan, weight),
        .half = half,
        .method = weight->format->fine ? &i4q_methods[0] : &plan->target.method,
        .weights = weight->payload.data,
    };
    job->asymmetric = job->method->asymmetric;
    weight->form = i4q_form_choose(plan->target.form, weight, job);
    weight->job = job;
    job->scales = i4q_arena_alloc(&model->arena, i4q_job_scales(job), i4q_job_element(job));
    if (job->asymmetric)
        job->zero_points = i4q_arena_alloc(&model->arena, i4q_job_zero_bytes(job), 1);
    return job->scales && (job->zero_points || !job->asymmetric);
}

/* One piece of memory for the codes of all weights: the arena has large ones cheaper. */
static bool allocate_codes(struct i4q_model *model, struct i4q_quantize_job *jobs, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += i4q_job_code_bytes(&jobs[i]);
    uint8_t *codes = i4q_arena_alloc(&model->arena, total, 1);
    for (size_t i = 0; codes && i < count; i++) {
        jobs[i].codes = codes;
        codes += i4q_job_code_bytes(&jobs[i]);
    }
    return codes != NULL;
}

/* ---- calibration */

static size_t kernel_size(const struct i4q_weight *weight)
{
    size_t size = 1;
    for (size_t i = 2; i < weight->tensor.rank; i++)
        size *= (size_t)weight->tensor.dims[i];
    return size;
}

/* Shape of the kernel, for methods that know about neighbours; Conv only. */
static void describe_kernel(const struct i4q_weight *weight, struct i4q_moments *moments)
{
    moments->rank = weight->tensor.rank - 2 < I4Q_KERNEL_RANK ? weight->tensor.rank - 2 : 0;
    for (size_t i = 0; i < moments->rank; i++)
        moments->kernel[i] = weight->tensor.dims[i + 2];
}

/* Whether the codes of a job aim at something else than its weights. */
static bool has_target(const struct i4q_quantize_job *job)
{
    return i4q_choose_by_moments(job) && job->moments->target;
}

static bool start_bias(struct i4q_model *model, struct i4q_quantize_job *job)
{
    job->bias = i4q_arena_alloc(&model->arena, job->channels, sizeof *job->bias);
    for (size_t i = 0; job->bias && has_target(job) && i < job->channels; i++)
        job->bias[i] = (double)i4q_moments_shift(job->moments, i);
    return job->bias;
}

/* What is known about the inputs of a weight: by the statistics, or by the means that were propagated. */
static bool add_moments(struct i4q_model *model, const struct i4q_plan *plan, const struct i4q_weight *weight,
                        const float *means, struct i4q_quantize_job *job, struct i4q_error *error)
{
    if (!weight->op->is_conv || job->method != &plan->target.method)
        return true;
    job->kernel = kernel_size(weight);
    if (!plan->statistics && !means)
        return true;
    struct i4q_moments *moments = i4q_arena_alloc(&model->arena, 1, sizeof *moments);
    if (!moments)
        return i4q_fail_memory(error);
    if (!plan->statistics)
        *moments = (struct i4q_moments){.mean = means, .k = job->inner, .groups = i4q_weight_groups(weight)};
    else if (!i4q_statistics_find(plan->statistics, weight->value->name, job->channels, job->inner,
                                  job->half ? MOST_HALF : MOST_FLOAT, moments, error))
        return false;
    if (!moments->mean)
        return true;
    if (plan->statistics)
        moments->shrinkage = i4q_moments_shrinkage(plan->statistics->images, plan->target.block > 0);
    describe_kernel(weight, moments);
    job->moments = moments;
    return !plan->target.correct_bias || start_bias(model, job) || i4q_fail_memory(error);
}

/* A job for every weight that gets a format. One that its Convs disagree about is looked through all the
 * same: `non-finite` comes before `shared` among the reasons. */
static bool make_jobs(struct i4q_model *model, struct i4q_plan *plan, const struct claims *claims,
                      const float *const *means, struct i4q_quantize_job *jobs, size_t *count,
                      struct i4q_error *error)
{
    *count = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        struct i4q_weight *weight = &plan->weights[i];
        weight->format = agreed_format(plan, &claims[i]);
        if (!weight->format && claims[i].chosen)
            weight->format = plan->target.format;
        if (!weight->format)
            continue;
        struct i4q_quantize_job *job = &jobs[(*count)++];
        if (!make_job(model, plan, weight, job))
            return i4q_fail_memory(error);
        if (!add_moments(model, plan, weight, means[i], job, error))
            return false;
    }
    return allocate_codes(model, jobs, *count) || i4q_fail_memory(error);
}

/* ---- the last reasons */

static void settle(struct i4q_plan *plan, const struct claims *claims)
{
    for (size_t i = 0; i < plan->n_weights; i++) {
        struct i4q_weight *weight = &plan->weights[i];
        weight->format = weight->job && weight->job->finite ? agreed_format(plan, &claims[i]) : NULL;
        if (!weight->format)
            continue;
        weight->bytes_after = weight->form->bytes(weight->job);
        plan->n_stored++;
    }
    for (size_t i = 0; i < plan->n_rows; i++) {
        struct i4q_plan_row *row = &plan->rows[i];
        if (row->reason)
            continue;
        if (!row->weight->job->finite)
            row->reason = I4Q_REASON_NON_FINITE;
        else if (row->weight->format != plan->target.format || claims[row->weight - plan->weights].kept)
            row->reason = I4Q_REASON_SHARED;
        else
            plan->n_quantized++;
    }
}

/* ---- notes */

static bool note(struct i4q_model *model, struct i4q_plan *plan, const char *about, size_t count,
                 const char *what)
{
    if (!count)
        return true;
    const char *text = i4q_arena_format(&model->arena, "%s: %zu %s", about, count, what);
    return text && i4q_patterns_add(&model->arena, &plan->notes, text);
}

/* What --block could not do. */
static bool note_blocks(struct i4q_model *model, struct i4q_plan *plan)
{
    size_t whole = 0, kept = 0, uneven = 0;
    if (!plan->target.block)
        return true;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_weight *weight = &plan->weights[i];
        if (!weight->format)
            continue;
        bool chosen = weight->format == plan->target.format;
        kept += !chosen;
        whole += chosen && !weight->job->block;
        uneven += weight->job->block && weight->form != plan->target.form;
    }
    const char *about = i4q_arena_format(&model->arena, "--block %zu", plan->target.block);
    return about &&
           note(model, plan, about, whole,
                "weights of at most that many inputs a channel, or of another layout, stay "
                "per channel") &&
           note(model, plan, about, kept, "weights of the kept format stay per channel") &&
           note(model, plan, about, uneven,
                "weights are decoded by DequantizeLinear, since it does not divide their rows");
}

/* What the statistics changed beside the codes, and what they could not help. */
static bool note_calibration(struct i4q_model *model, struct i4q_plan *plan)
{
    size_t unknown = 0, fixed = 0, aimed = 0;
    if (!plan->statistics)
        return true;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_weight *weight = &plan->weights[i];
        bool chosen = weight->format && weight->job->method == &plan->target.method;
        unknown += chosen && !weight->job->moments;
        aimed += chosen && has_target(weight->job);
    }
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        fixed +=
            row->weight && row->weight->format && row->weight->job->bias && !i4q_bias_is_constant(plan, row);
    }
    return note(model, plan, "--calibration", aimed,
                "weights make up for the errors of those in front of them, at a loss of SQNR") &&
           note(model, plan, "--calibration", unknown,
                "weights are not in the file, and are quantized without") &&
           note(model, plan, "--calibration", fixed,
                "Convs have a bias that is computed, and is not corrected");
}

/* Work that is going on. */
struct watch {
    struct i4q_model *model;
    size_t total; /* bytes of weights */
    atomic_size_t done;
};

/* What has been read is not kept in memory, or a large model would fill it. */
static void watch(void *context, size_t bytes)
{
    struct watch *watch = context;
    i4q_model_release(watch->model, bytes);
    i4q_log_progress(atomic_fetch_add(&watch->done, bytes) + bytes, watch->total);
}

bool i4q_plan_quantize(struct i4q_model *model, struct i4q_plan *plan, const struct i4q_kernels *kernels,
                       unsigned threads, struct i4q_error *error)
{
    size_t count;
    const struct claims *claims = collect_claims(model, plan);
    struct i4q_quantize_job *jobs = i4q_arena_alloc(&model->arena, plan->n_weights, sizeof *jobs);
    const float **means = i4q_arena_alloc(&model->arena, plan->n_weights, sizeof *means);
    bool propagate = plan->target.method.propagate && plan->target.correct_bias && !plan->statistics;
    if (!jobs || !claims || !means || (propagate && !i4q_propagate_means(model, plan, threads, means)))
        return i4q_fail_memory(error);
    if (!make_jobs(model, plan, claims, means, jobs, &count, error))
        return false;
    struct watch watched = {.model = model};
    for (size_t i = 0; i < plan->n_weights; i++)
        watched.total += plan->weights[i].job ? plan->weights[i].tensor.bytes : 0;
    const struct i4q_quantize_options options = {
        .kernels = kernels, .threads = threads, .done = watch, .context = &watched};
    bool ok = i4q_quantize(&options, jobs, count, error);
    i4q_log_end_progress();
    if (!ok)
        return false;
    settle(plan, claims);
    return (note_blocks(model, plan) && note_calibration(model, plan)) || i4q_fail_memory(error);
}

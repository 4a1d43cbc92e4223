// SPDX-License-Identifier: Apache-2.0
/* The second half of planning: what only the numbers tell, and in which form each weight is stored. */
#include "int4q/plan.h"

#include "int4q/decoder.h"

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
    bool possible = weight->format == plan->target.format && weight->op->blocks &&
                    i4q_weight_inner(weight) > plan->target.block;
    return possible ? plan->target.block : 0;
}

/* The 3-D view of Cast and Mul has no room for a shorter last block. */
static enum i4q_form choose_form(const struct i4q_plan *plan, const struct i4q_weight *weight, size_t block)
{
    if (weight->format->packed)
        return I4Q_FORM_PACKED;
    bool uneven = block && i4q_weight_inner(weight) % block;
    return uneven ? I4Q_FORM_DQ : plan->target.form;
}

/* ---- jobs */

static bool make_job(struct i4q_model *model, const struct i4q_plan *plan, struct i4q_weight *weight,
                     struct i4q_quantize_job *job)
{
    size_t channels = i4q_weight_channels(weight), inner = i4q_weight_inner(weight);
    bool half = weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    size_t block = choose_block(plan, weight);
    weight->form = choose_form(plan, weight, block);
    weight->job = job;
    *job = (struct i4q_quantize_job){
        .weights = weight->payload.data,
        .half = half,
        .outer = weight->tensor.count / (channels * inner),
        .channels = channels,
        .inner = inner,
        .block = block,
        .format = weight->format,
        .method = plan->target.method,
    };
    job->codes = i4q_arena_alloc(&model->arena, i4q_format_bytes(job->format, weight->tensor.count), 1);
    job->scales = i4q_arena_alloc(&model->arena, channels * i4q_quantize_blocks(job),
                                  half ? sizeof(uint16_t) : sizeof(float));
    return job->codes && job->scales;
}

/* A job for every weight that gets a format. One that its Convs disagree about is looked through all the
 * same: `non-finite` comes before `shared` among the reasons. */
static bool make_jobs(struct i4q_model *model, struct i4q_plan *plan, const struct claims *claims,
                      struct i4q_quantize_job *jobs, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        struct i4q_weight *weight = &plan->weights[i];
        weight->format = agreed_format(plan, &claims[i]);
        if (!weight->format && claims[i].chosen)
            weight->format = plan->target.format;
        if (weight->format && !make_job(model, plan, weight, &jobs[(*count)++]))
            return false;
    }
    return true;
}

/* ---- the last reasons */

static void settle(struct i4q_plan *plan, const struct claims *claims)
{
    for (size_t i = 0; i < plan->n_weights; i++) {
        struct i4q_weight *weight = &plan->weights[i];
        weight->format = weight->job && weight->job->finite ? agreed_format(plan, &claims[i]) : NULL;
        if (weight->format)
            weight->bytes_after = i4q_decoder_bytes(weight);
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

static bool note(struct i4q_model *model, struct i4q_plan *plan, size_t count, const char *what)
{
    if (!count)
        return true;
    const char *text =
        i4q_arena_format(&model->arena, "--block %zu: %zu %s", plan->target.block, count, what);
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
    return note(model, plan, whole,
                "weights of at most that many inputs a channel, or of another layout, stay "
                "per channel") &&
           note(model, plan, kept, "weights of the kept format stay per channel") &&
           note(model, plan, uneven,
                "weights are decoded by DequantizeLinear, since it does not divide their rows");
}

/* What has been read is not kept in memory, or a large model would fill it. */
static void release(void *model, size_t bytes)
{
    i4q_model_release(model, bytes);
}

bool i4q_plan_quantize(struct i4q_model *model, struct i4q_plan *plan, const struct i4q_kernels *kernels,
                       unsigned threads, struct i4q_error *error)
{
    size_t count;
    const struct claims *claims = collect_claims(model, plan);
    struct i4q_quantize_job *jobs = i4q_arena_alloc(&model->arena, plan->n_weights, sizeof *jobs);
    if (!jobs || !claims || !make_jobs(model, plan, claims, jobs, &count))
        return i4q_fail_memory(error);
    const struct i4q_quantize_options options = {
        .kernels = kernels, .threads = threads, .done = release, .context = model};
    if (!i4q_quantize(&options, jobs, count, error))
        return false;
    settle(plan, claims);
    return note_blocks(model, plan) || i4q_fail_memory(error);
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/jobs.h"

#include "plan/activations.h"
#include "quantize/rows.h"

/* Targets up to here have scales that their type can hold. */
static const float MOST_HALF = 65504, MOST_FLOAT = 0x1p100f;

/* ---- what is known of the inputs */

static size_t kernel_size(const struct i4q_weight *fact)
{
    size_t size = 1;
    for (size_t i = 2; i < fact->tensor.rank; i++)
        size *= (size_t)fact->tensor.dims[i];
    return size;
}

/* Shape of the kernel, for methods that know about neighbours; Conv only. */
static void describe_kernel(const struct i4q_weight *fact, struct i4q_moments *moments)
{
    moments->rank = fact->tensor.rank - 2 < I4Q_KERNEL_RANK ? fact->tensor.rank - 2 : 0;
    for (size_t i = 0; i < moments->rank; i++)
        moments->kernel[i] = fact->tensor.dims[i + 2];
}

bool i4q_job_has_target(const struct i4q_quantize_job *job)
{
    return i4q_choose_by_moments(job) && job->moments->target;
}

/* By the statistics, or by the means that were propagated; `mean` is NULL where nothing is known. */
static bool find_moments(const struct i4q_plan *plan, const struct i4q_plan_weight *weight,
                         struct i4q_moments *moments, struct i4q_error *error)
{
    const struct i4q_weight *fact = weight->fact;
    const struct i4q_quantize_job *job = weight->job;
    if (!plan->statistics) {
        const float *means = plan->means[weight - plan->weights];
        *moments = (struct i4q_moments){.mean = means, .k = job->inner, .groups = i4q_weight_groups(fact)};
    } else if (!i4q_statistics_find(plan->statistics, fact->value->name, job->channels, job->inner,
                                    job->half ? MOST_HALF : MOST_FLOAT, moments, error)) {
        return false;
    }
    describe_kernel(fact, moments);
    moments->factors = job->factors;
    if (job->factors && moments->mean && moments->groups != job->groups) {
        error->file = plan->statistics->path;
        return i4q_fail(error, I4Q_MODEL, "'%s|mu' has %zu groups, its Conv has %zu", fact->value->name,
                        moments->groups, job->groups);
    }
    return true;
}

/* Once a weight, however often a job is made for it. */
static bool look_up(const struct i4q_plan *plan, struct i4q_plan_weight *weight, struct i4q_error *error)
{
    struct i4q_arena *arena = &plan->facts->model->arena;
    if (weight->looked_up || (!plan->statistics && !plan->means[weight - plan->weights]))
        return true;
    struct i4q_moments *moments = i4q_arena_alloc(arena, 1, sizeof *moments);
    if (!moments)
        return i4q_fail_memory(error);
    if (!find_moments(plan, weight, moments, error))
        return false;
    weight->looked_up = true;
    if (!moments->mean)
        return true;
    weight->moments = moments;
    if (plan->correct_bias)
        weight->bias = i4q_arena_alloc(arena, weight->job->channels, sizeof *weight->bias);
    return !plan->correct_bias || weight->bias || i4q_fail_memory(error);
}

bool i4q_job_is_left_alone(const struct i4q_quantize_job *job)
{
    return job->format->fine && job->method->scale == I4Q_SCALE_ABSMAX &&
           job->method->rounding == I4Q_ROUND_NEAREST;
}

static bool add_moments(const struct i4q_plan *plan, struct i4q_plan_weight *weight,
                        const struct i4q_recipe *recipe, struct i4q_error *error)
{
    struct i4q_quantize_job *job = weight->job;
    if (!weight->fact->op->is_conv || i4q_job_is_left_alone(job))
        return true;
    if (!look_up(plan, weight, error))
        return false;
    if (weight->moments && plan->statistics)
        weight->moments->shrinkage = i4q_moments_shrinkage(plan->statistics->images, recipe->block > 0);
    job->moments = weight->moments;
    job->bias = weight->bias;
    for (size_t i = 0; job->bias && i < job->channels; i++)
        job->bias[i] = i4q_job_has_target(job) ? (double)i4q_moments_shift(job->moments, i) : 0;
    return true;
}

/* ---- the job */

/* Blocks need consecutive channels that are longer than a block. */
static size_t choose_block(const struct i4q_weight *fact, const struct i4q_recipe *recipe)
{
    return fact->op->is_conv && i4q_weight_inner(fact) > recipe->block ? recipe->block : 0;
}

/* Where its elements meet which channels of what it reads. */
static void describe_inputs(struct i4q_plan_weight *weight)
{
    const struct i4q_plan_activation *input = i4q_plan_activation_met(weight);
    weight->job->kernel = kernel_size(weight->fact);
    weight->job->groups = i4q_weight_groups(weight->fact);
    weight->job->factors = input ? input->factors : NULL;
}

bool i4q_plan_make_job(struct i4q_plan *plan, struct i4q_plan_weight *weight, const struct i4q_recipe *recipe,
                       struct i4q_error *error)
{
    const struct i4q_weight *fact = weight->fact;
    size_t channels = i4q_weight_channels(fact), inner = i4q_weight_inner(fact);
    *weight->job = (struct i4q_quantize_job){
        .format = recipe->format,
        .outer = fact->tensor.count / (channels * inner),
        .channels = channels,
        .inner = inner,
        .block = choose_block(fact, recipe),
        .half = fact->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16,
        .method = &recipe->method,
        .weights = fact->payload.data,
    };
    if (fact->op->is_conv)
        describe_inputs(weight);
    weight->job->asymmetric = weight->job->method->asymmetric;
    if (fact->origin) {
        weight->job->format = fact->storing.format;
        weight->job->asymmetric = fact->storing.asymmetric;
    }
    weight->form = i4q_form_choose(recipe->form, fact, weight->job);
    weight->job->narrow =
        recipe->narrow && weight->form->narrows && !weight->job->half && weight->job->outer == 1;
    return fact->origin || add_moments(plan, weight, recipe, error);
}

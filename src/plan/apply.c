// SPDX-License-Identifier: Apache-2.0
#include "plan/apply.h"

#include "plan/activations.h"
#include "plan/fused.h"
#include "plan/notes.h"
#include "plan/settle.h"
#include "platform/terminal.h"

#include <stdatomic.h>

/* ---- buffers */

static bool allocate_scales(struct i4q_arena *arena, struct i4q_quantize_job *job)
{
    job->scales = i4q_arena_alloc(arena, i4q_job_scales(job), i4q_job_element(job));
    if (job->asymmetric)
        job->zero_points = i4q_arena_alloc(arena, i4q_job_zero_bytes(job), 1);
    return job->scales && (job->zero_points || !job->asymmetric);
}

/* The codes of all weights are one piece of memory: the arena has large ones cheaper. */
static bool allocate_buffers(struct i4q_arena *arena, struct i4q_quantize_job *jobs, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += i4q_job_code_bytes(&jobs[i]);
    uint8_t *codes = i4q_arena_alloc(arena, total, 1);
    for (size_t i = 0; codes && i < count; i++) {
        if (!allocate_scales(arena, &jobs[i]))
            return false;
        jobs[i].codes = codes;
        codes += i4q_job_code_bytes(&jobs[i]);
    }
    return codes != NULL;
}

/* ---- progress */

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

/* Statistics are to blame, and the file that they are of. */
static bool blame(const struct i4q_plan *plan, const struct i4q_error *found, struct i4q_error *error)
{
    const char *name = NULL;
    for (size_t i = 0; i < plan->n_weights && !name; i++)
        if (plan->weights[i].job && plan->weights[i].job->failed)
            name = plan->weights[i].fact->value->name;
    if (found->code != I4Q_MODEL || !name)
        return i4q_fail(error, found->code, "%s", found->message);
    error->file = plan->statistics->path;
    return i4q_fail(error, I4Q_MODEL, "'%s|H': %s", name, found->message);
}

static bool run_jobs(struct i4q_plan *plan, const struct i4q_kernels *kernels, unsigned threads,
                     struct i4q_error *error)
{
    struct watch watched = {.model = plan->facts->model};
    for (size_t i = 0; i < plan->n_weights; i++)
        watched.total += plan->weights[i].job ? plan->weights[i].fact->tensor.bytes : 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        if (!weight->job || !weight->fact->origin)
            continue;
        i4q_origin_store(weight->fact->origin, weight->fact->storing.shifted, weight->job);
        watch(&watched, weight->fact->tensor.bytes);
    }
    const struct i4q_quantize_options options = {
        .kernels = kernels, .threads = threads, .done = watch, .context = &watched};
    struct i4q_error found = {0};
    bool ok = i4q_quantize(&options, plan->jobs, plan->n_jobs, &found);
    i4q_log_end_progress();
    return ok || blame(plan, &found, error);
}

bool i4q_plan_quantize(struct i4q_plan *plan, const struct i4q_kernels *kernels, unsigned threads,
                       struct i4q_error *error)
{
    struct i4q_arena *arena = &plan->facts->model->arena;
    struct i4q_quantize_job *imports = plan->jobs + plan->n_weights - plan->n_imports;
    if (!allocate_buffers(arena, plan->jobs, plan->n_jobs) ||
        !allocate_buffers(arena, imports, plan->n_imports))
        return i4q_fail_memory(error);
    if (!run_jobs(plan, kernels, threads, error))
        return false;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        if (!weight->job)
            continue;
        weight->fact->looked_through = true;
        weight->fact->finite = weight->job->finite;
    }
    i4q_plan_fused_fit(plan);
    i4q_plan_conclude(plan);
    return (i4q_plan_activations_correct(plan) && i4q_plan_add_notes(plan)) || i4q_fail_memory(error);
}

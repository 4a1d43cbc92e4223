// SPDX-License-Identifier: Apache-2.0
#include "plan/keep_activations.h"

#include <math.h>

static bool make_index(const struct i4q_plan *plan, struct i4q_arena *arena, struct i4q_name_index *index)
{
    struct i4q_names *names = i4q_arena_alloc(arena, plan->n_activations, sizeof *names);
    for (size_t i = 0; names && i < plan->n_activations; i++)
        names[i].alias[I4Q_ALIAS_NODE] = plan->activations[i].value->name;
    return names && i4q_name_index_make(arena, names, plan->n_activations, index);
}

static bool note_unmatched(struct i4q_plan *plan, const struct i4q_sensitivity *found)
{
    if (!found->unmatched.count)
        return true;
    return i4q_plan_note(plan,
                         i4q_arena_format(&plan->facts->model->arena,
                                          "--keep-activations: %zu of its %zu names are of no tensor "
                                          "that Convs read, '%.100s' for one",
                                          found->unmatched.count, found->entries, found->unmatched.items[0]));
}

/* What the file does not name is not kept. */
static void take_measurements(struct i4q_plan *plan, const struct i4q_sensitivity *found)
{
    struct i4q_activation_options *options = &plan->activation_options;
    for (size_t i = 0; i < plan->n_activations; i++) {
        const struct i4q_measurement *measured = &found->convs[i];
        plan->activations[i].loss = measured->present ? measured->worse : NAN;
    }
    if (!options->has_keep)
        options->keep = found->scored && found->has_k ? found->k : plan->n_activations;
}

static bool read_file(struct i4q_plan *plan, struct i4q_error *error)
{
    const struct i4q_activation_options *options = &plan->activation_options;
    struct i4q_arena *arena = &plan->facts->model->arena;
    struct i4q_name_index index;
    struct i4q_sensitivity found;
    const void **weights = i4q_arena_alloc(arena, plan->n_activations, sizeof *weights);
    if (!weights || !make_index(plan, arena, &index))
        return i4q_fail_memory(error);
    if (!i4q_sensitivity_read(arena, options->keep_json, &index, weights, &found, error))
        return false;
    if (!found.scored && options->has_keep)
        return i4q_fail(error, I4Q_USAGE, "it lists tensors without scores, which a number of them needs");
    take_measurements(plan, &found);
    return note_unmatched(plan, &found) || i4q_fail_memory(error);
}

bool i4q_keep_activations_read(struct i4q_plan *plan, struct i4q_error *error)
{
    const char *path = plan->activation_options.keep_path;
    if (!path || read_file(plan, error))
        return true;
    error->file = path;
    return false;
}

/* Of those that are quantized the most sensitive, of two alike the earlier, which is not kept yet; or NULL.
 */
static struct i4q_plan_activation *find_next(const struct i4q_plan *plan)
{
    struct i4q_plan_activation *found = NULL;
    for (size_t i = 0; i < plan->n_activations; i++) {
        struct i4q_plan_activation *activation = &plan->activations[i];
        bool may_be = !activation->reason && !activation->is_kept && !isnan(activation->loss);
        if (may_be && (!found || activation->loss > found->loss))
            found = activation;
    }
    return found;
}

void i4q_keep_activations_choose(struct i4q_plan *plan)
{
    struct i4q_plan_activation *kept = NULL;
    for (size_t i = 0; i < plan->activation_options.keep && (kept = find_next(plan)); i++)
        kept->is_kept = true;
}

// SPDX-License-Identifier: Apache-2.0
#include "onnx/trial.h"

#include <string.h>

struct i4q_noted {
    struct i4q_noted *earlier;
    void *memory;
    size_t size;
    unsigned char bytes[];
};

void i4q_trial_begin(struct i4q_trial *trial, struct i4q_model *model)
{
    *trial = (struct i4q_trial){.model = model, .arena = model->arena};
    i4q_arena_init(&model->arena, trial->arena.limit - trial->arena.used);
    i4q_table_init(&model->graph.new_names, &model->arena);
    model->trial = trial;
}

bool i4q_trial_note(struct i4q_trial *trial, void *memory, size_t size)
{
    struct i4q_noted *noted = i4q_arena_alloc(&trial->model->arena, 1, sizeof *noted + size);
    if (!noted)
        return false;
    *noted = (struct i4q_noted){.earlier = trial->noted, .memory = memory, .size = size};
    if (size)
        memcpy(noted->bytes, memory, size);
    trial->noted = noted;
    return true;
}

void i4q_trial_end(struct i4q_trial *trial)
{
    struct i4q_model *model = trial->model;
    for (const struct i4q_noted *noted = trial->noted; noted; noted = noted->earlier)
        if (noted->size)
            memcpy(noted->memory, noted->bytes, noted->size);
    for (struct i4q_scope *scope = model->graph.scopes; scope; scope = scope->next)
        scope->initializers = (struct i4q_list){0};
    i4q_arena_free(&model->arena);
    model->arena = trial->arena;
    i4q_table_init(&model->graph.new_names, &model->arena);
    model->trial = NULL;
}

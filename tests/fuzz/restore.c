// SPDX-License-Identifier: Apache-2.0
/* restore: what comes out loads, has no problems that were not there before, and nothing left to restore. */
#include "model_target.h"

#include "rewrite/restore.h"

static bool restore(struct i4q_model *model, struct i4q_restoration *restoration)
{
    struct i4q_error error = {0};
    bool ok = i4q_restore(model, target_best_kernels(), NULL, restoration, &error);
    REQUIRE_OK(ok || error.code == I4Q_MODEL, error);
    return ok;
}

static size_t count_problems(struct i4q_model *model)
{
    struct i4q_inspection inspection;
    return target_inspect(model, target_best_kernels(), &inspection) ? inspection.problems.count : SIZE_MAX;
}

/* Inspecting and restoring each hang their findings to the values, so each gets a model of its own. */
static void check_result(struct i4q_model *model, const uint8_t *data, size_t size)
{
    struct i4q_model written, again, original;
    struct i4q_restoration nothing;
    target_write(model, &written);
    target_write(&written, &again);
    REQUIRE(target_load(&original, data, size));
    REQUIRE(count_problems(&written) <= count_problems(&original));
    REQUIRE(!restore(&again, &nothing) || nothing.n_weights == 0);
    i4q_model_free(&original);
    i4q_model_free(&again);
    i4q_model_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_model model;
    struct i4q_restoration restoration;
    target_begin();
    if (target_load(&model, data, size)) {
        if (restore(&model, &restoration))
            check_result(&model, data, size);
        i4q_model_free(&model);
    }
    target_end();
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "rewrite/price.h"

#include "onnx/save.h"
#include "onnx/trial.h"
#include "rewrite/rewrite.h"

bool i4q_price(const struct i4q_plan *plan, const struct i4q_destination *to, size_t *bytes,
               struct i4q_error *error)
{
    struct i4q_trial trial;
    struct i4q_rewrite rewrite;
    struct i4q_layout layout;
    struct i4q_model *model = plan->facts->model;
    i4q_trial_begin(&trial, model);
    bool ok = i4q_rewrite_apply(plan, to->opset, &rewrite, error) &&
              i4q_layout_make(model, to->path, to->external, &layout, error);
    *bytes = ok ? i4q_layout_bytes(&layout) : 0;
    i4q_trial_end(&trial);
    return ok;
}

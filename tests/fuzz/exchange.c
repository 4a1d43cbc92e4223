// SPDX-License-Identifier: Apache-2.0
/* --import: weights that stand for integers already. The same bytes with any kernels and threads; they load,
 * and inspection finds no new problem; restored, each weight has the values that the original's nodes make.
 */
#include "model_target.h"

#include "plan/apply.h"
#include "plan/planner.h"
#include "rewrite/restore.h"
#include "rewrite/rewrite.h"

#include <string.h>

struct run {
    struct i4q_model model;
    struct i4q_weights weights;
    struct i4q_plan plan;
    struct i4q_rewrite rewrite;
};

/* Of the rest nothing is changed: the target's recipe is not asked for. A bit of the model's version, which
 * the tool does not read, tells whether activations are imported too. */
static struct i4q_plan_options options_of(const struct i4q_model *model, unsigned threads)
{
    const struct i4q_recipe recipe = {&i4q_formats[0], &i4q_form_dq, i4q_methods[0], 0};
    return (struct i4q_plan_options){.target = recipe,
                                     .kept = {.form = &i4q_form_dq},
                                     .import_all = model->proto->model_version & 1,
                                     .only_import = true,
                                     .threads = threads};
}

/* False: the model is refused, or there is nothing to import; it is then gone. */
static bool import(struct run *run, const uint8_t *data, size_t size, const struct i4q_kernels *kernels,
                   unsigned threads)
{
    struct i4q_error error = {0};
    if (!target_load(&run->model, data, size))
        return false;
    const struct i4q_plan_options options = options_of(&run->model, threads);
    bool ok = i4q_weights_find(&run->model, i4q_ops_conv(), true, &run->weights, &error) &&
              i4q_plan_make(&run->weights, &options, &run->plan, &error) &&
              i4q_plan_quantize(&run->plan, kernels, threads, &error) &&
              i4q_rewrite_apply(&run->plan, 0, &run->rewrite, &error);
    REQUIRE_OK(ok || error.code == I4Q_MODEL || error.code == I4Q_USAGE, error);
    if (ok && run->plan.n_stored)
        return true;
    i4q_model_free(&run->model);
    return false;
}

static bool restore(struct i4q_model *model, struct i4q_restoration *restoration)
{
    struct i4q_error error = {0};
    bool ok = i4q_restore(model, target_best_kernels(), NULL, restoration, &error);
    REQUIRE_OK(ok || error.code == I4Q_MODEL, error);
    return ok;
}

/* ---- what must hold */

static const Onnx__TensorProto *find_floats(const struct i4q_model *model, const char *name)
{
    const struct i4q_value *value = i4q_table_get(&model->graph.scopes->values, name);
    return value ? value->initializer : NULL;
}

/* 0 and -0 are alike, and nothing is a NaN. */
static void require_equal(const Onnx__TensorProto *a, const Onnx__TensorProto *b)
{
    size_t count = a->raw_data.len / sizeof(float);
    REQUIRE(a->data_type == b->data_type && a->raw_data.len == b->raw_data.len);
    for (size_t i = 0; a->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT && i < count; i++) {
        float x, y;
        memcpy(&x, a->raw_data.data + i * sizeof x, sizeof x);
        memcpy(&y, b->raw_data.data + i * sizeof y, sizeof y);
        REQUIRE(!(x < y) && !(x > y));
    }
}

/* Changes `written`. What was imported from floats of FINN stands for itself: nothing restores these. */
static void check_values(struct i4q_model *written, const uint8_t *data, size_t size)
{
    struct i4q_model original;
    struct i4q_restoration before, after;
    REQUIRE(target_load(&original, data, size));
    if (restore(&original, &before) && restore(written, &after)) {
        REQUIRE(after.n_weights >= before.n_weights);
        for (size_t i = 0; i < before.n_weights; i++) {
            const Onnx__TensorProto *one = find_floats(&original, before.weights[i].weight),
                                    *other = find_floats(written, before.weights[i].weight);
            if (one && other)
                require_equal(one, other);
        }
    }
    i4q_model_free(&original);
}

static void check_inspection(struct i4q_model *written, const uint8_t *data, size_t size)
{
    struct i4q_model original;
    struct i4q_inspection before, after;
    REQUIRE(target_load(&original, data, size));
    if (target_inspect(&original, target_best_kernels(), &before)) {
        REQUIRE(target_inspect(written, target_best_kernels(), &after));
        REQUIRE(before.problems.count || !after.problems.count);
    }
    i4q_model_free(&original);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run one, other;
    struct i4q_model written, again;
    target_begin();
    if (import(&one, data, size, target_best_kernels(), 1)) {
        REQUIRE(import(&other, data, size, target_scalar_kernels(), 2));
        target_write(&one.model, &written);
        target_write(&other.model, &again);
        target_require_equal(&written, &again);
        check_inspection(&again, data, size);
        check_values(&written, data, size);
        i4q_model_free(&again);
        i4q_model_free(&written);
        i4q_model_free(&other.model);
        i4q_model_free(&one.model);
    }
    target_end();
    return 0;
}

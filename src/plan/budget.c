// SPDX-License-Identifier: Apache-2.0
#include "plan/budget.h"

#include "base/size.h"

#include <stdio.h>
#include <string.h>

static const double MOST_BYTES = 1e15;

bool i4q_target_size_parse(const char *text, size_t input, size_t *limit, struct i4q_error *error)
{
    char number[64];
    double size;
    size_t length = strlen(text);
    bool percent = length && text[length - 1] == '%';
    snprintf(number, sizeof number, "%.*s", (int)(length - percent), text);
    bool ok = length < sizeof number && i4q_size_parse(number, &size);
    if (ok && percent)
        ok = strspn(number, "0123456789.") == strlen(number);
    if (!ok)
        return i4q_fail(error, I4Q_USAGE, "--target-size: '%s' is no size such as 8500000, 8.5M, 8Mi or 12%%",
                        text);
    double bytes = percent ? (double)input * size / 100 : size;
    if (bytes > MOST_BYTES || size > MOST_BYTES)
        return i4q_fail(error, I4Q_USAGE, "--target-size: '%s' is more than any file has", text);
    *limit = (size_t)bytes;
    return true;
}

/* The size of the output that keeps `keep` Convs, and how many could be kept at most. */
static bool try(const struct i4q_target_size *fit, size_t keep, size_t *bytes, size_t *measured,
                struct i4q_error *error)
{
    struct i4q_plan_options options = *fit->options;
    struct i4q_model model;
    struct i4q_plan plan;
    struct i4q_rewrite result;
    struct i4q_layout layout;
    options.has_count = true;
    options.rank = I4Q_RANK_KEEP;
    options.count = keep;
    /* Sizes do not depend on the codes, so they may be the quickest. */
    options.target.method.rounding = I4Q_ROUND_NEAREST;
    if (!i4q_model_load_bytes(&model, fit->model->input.bytes, fit->model->path, fit->follow_symlinks, error))
        return false;
    bool ok = i4q_plan_make(&model, &options, &plan, error) &&
              i4q_plan_quantize(&model, &plan, fit->kernels, 0, error) &&
              i4q_rewrite_apply(&model, &plan, fit->opset, &result, error) &&
              i4q_layout_make(&model, fit->output_path, fit->external, &layout, error);
    *measured = 0;
    for (size_t i = 0; ok && i < plan.n_rows; i++)
        *measured += plan.rows[i].measurement.present;
    *bytes = ok ? i4q_layout_bytes(&layout) : 0;
    i4q_model_free(&model);
    return ok;
}

bool i4q_target_size_fit(struct i4q_target_size *fit, struct i4q_error *error)
{
    size_t bytes, low = 0, high;
    if (!try(fit, 0, &bytes, &high, error))
        return false;
    if (bytes > fit->limit)
        return i4q_fail(
            error, I4Q_UNMET,
            "--target-size: the smallest possible output has %zu bytes, more than the %zu asked for", bytes,
            fit->limit);
    /* `low` fits; nothing above `high` is to be tried. */
    while (low < high) {
        size_t measured, middle = low + (high - low + 1) / 2;
        if (!try(fit, middle, &bytes, &measured, error))
            return false;
        if (bytes <= fit->limit)
            low = middle;
        else
            high = middle - 1;
    }
    fit->keep = low;
    return true;
}

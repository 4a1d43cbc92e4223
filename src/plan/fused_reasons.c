// SPDX-License-Identifier: Apache-2.0
#include "plan/fused_reasons.h"

#include "plan/bias.h"
#include "plan/fused_ops.h"
#include "plan/fused_ranges.h"

#include <math.h>

static bool is_half(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return row->weight->job->half;
}

static bool is_in_body(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return row->conv->node->scope != plan->facts->model->graph.scopes;
}

/* Unless it is stored as integers whose zero point is 0 in the end. */
static bool has_other_weight(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_plan_weight *weight = row->weight;
    bool is_fine = weight->form == &i4q_form_dq && weight->job->format->fine && !weight->job->asymmetric &&
                   !weight->job->format->zero && !weight->job->block;
    bool is_coarse = (weight->form == &i4q_form_fused || weight->form == &i4q_form_cast) &&
                     i4q_form_fused.holds(weight->fact, weight->job);
    return !is_coarse && !is_fine;
}

static bool gives_output(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = i4q_output_value(row->conv->node, 0);
    return !value || value->is_output;
}

static bool is_around_lossy(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return plan->fused->stays[row->conv->node->index];
}

static bool reads_quantized(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = i4q_input_value(row->conv->node, 0);
    return (row->input && row->input->own == I4Q_INPUT_ALREADY_QUANTIZED) ||
           (value && value->producer && i4q_node_is(value->producer->proto, "DequantizeLinear"));
}

static bool reads_misfit(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_value *value = i4q_input_value(row->conv->node, 0);
    return value && !i4q_fused_op_fits(value->producer);
}

static bool is_unmeasured(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    return !i4q_fused_has_range(plan->fused, i4q_input_value(row->conv->node, 0)) ||
           !i4q_fused_has_range(plan->fused, i4q_output_value(row->conv->node, 0));
}

/* Unless it is one that INT32 holds; before there are scales it is taken for one. */
static bool has_other_bias(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    const struct i4q_quantize_job *job = row->weight->job;
    const struct i4q_range *range = i4q_plan_fused_range(plan->fused, i4q_input_value(row->conv->node, 0));
    if (!i4q_bias_is_constant(plan, row) || !job->scales)
        return !i4q_bias_is_constant(plan, row);
    const float *bias = i4q_bias_values(plan, row, &plan->facts->model->arena);
    for (size_t i = 0; bias && i < job->channels; i++)
        if (!(fabs((double)bias[i]) / (double)i4q_fused_bias_scale(job, i, range) <
              (double)I4Q_FUSED_MOST_BIAS))
            return true;
    return !bias;
}

static const struct float_reason {
    bool (*applies)(const struct i4q_plan *plan, const struct i4q_plan_row *row);
    const char *text;
} float_reasons[] = {
    {is_half, "they are FLOAT16, and ONNX Runtime's integer Convs have FLOAT scales"},
    {is_in_body, "they stand in bodies of If, Loop or Scan"},
    {has_other_weight, "their weights have more than 4 bits and are not symmetric INT8"},
    {gives_output, "what they give is an output of the model"},
    {is_around_lossy, "what they read or give stays float for what it would lose"},
    {reads_quantized, "what they read is quantized already"},
    {reads_misfit, "what they read comes from a pooling that ONNX Runtime does not compute alike in 8 bits"},
    {is_unmeasured, "what they read or give is not in the statistics"},
    {has_other_bias, "their bias is computed, or too large for INT32"},
};

const char *i4q_fused_float_reason(size_t index)
{
    return index < sizeof float_reasons / sizeof *float_reasons ? float_reasons[index].text : NULL;
}

const char *i4q_fused_find_reason(const struct i4q_plan *plan, const struct i4q_plan_row *row)
{
    for (size_t i = 0; i4q_fused_float_reason(i); i++)
        if (float_reasons[i].applies(plan, row))
            return float_reasons[i].text;
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "report/rewrite_activations.h"

#include "base/json.h"
#include "plan/fused.h"

enum { WIDE_BITS = 8 };

void i4q_report_activations_text(const struct i4q_plan *plan, FILE *stream)
{
    const struct i4q_activation_options *options = &plan->activation_options;
    size_t counts[I4Q_INPUT_REASONS] = {0}, kept = 0;
    for (size_t i = 0; i < plan->n_activations; i++) {
        counts[plan->activations[i].reason]++;
        kept += plan->activations[i].is_kept;
    }
    if (!options->levels)
        return;
    if (plan->fused) {
        fprintf(stream,
                "fused      %zu of %zu Convs compute in 8 bits; %zu tensors quantized to %s, range %s\n",
                plan->fused->n_convs, plan->n_rows, plan->fused->n_values, options->levels->name,
                i4q_range_word(options->rule));
        if (plan->fused->n_kept)
            fprintf(stream,
                    "           %zu tensors stay float for what they would lose, with what is around them\n",
                    plan->fused->n_kept);
        return;
    }
    fprintf(stream, "inputs     %zu of the %zu tensors that the Convs read quantized to %s", counts[0],
            plan->n_activations, options->levels->name);
    if (kept)
        fprintf(stream, ", the %zu most sensitive of them to 8 bits", kept);
    fprintf(stream, ", range %s, a scale a %s\n", i4q_range_word(options->rule),
            options->per_channel ? "channel" : "tensor");
    if (plan->target.form->has_input_ranges)
        fputs(
            "           8 bits with a scale a tensor are the operators' own input_scale; depthwise ones find "
            "theirs on each run\n",
            stream);
    if (options->levels->bits < WIDE_BITS && counts[0] > kept && !options->per_channel)
        fputs("           --activation-scales channel keeps more of a detector at so few bits, "
              "--keep-activations still more\n",
              stream);
    for (enum i4q_activation_reason r = 1; r < I4Q_INPUT_REASONS; r++)
        if (counts[r])
            fprintf(stream, "           %zu %s: %s\n", counts[r], i4q_activation_reasons[r].word,
                    i4q_activation_reasons[r].meaning);
}

static json_t *activation_json(const struct i4q_plan *plan, const struct i4q_plan_activation *activation)
{
    const struct i4q_range *range = i4q_plan_activation_range(activation);
    bool quantized = !activation->reason;
    json_t *json = json_object();
    i4q_json_put(&json, "tensor", i4q_json_text(activation->value->name));
    i4q_json_put(&json, "bits", quantized ? json_integer(range->bits) : json_null());
    i4q_json_put(&json, "scale", quantized ? i4q_json_real((double)range->scale) : json_null());
    i4q_json_put(&json, "zero_point", quantized ? json_integer(range->zero) : json_null());
    i4q_json_put(&json, "channels", i4q_json_size(activation->channels));
    i4q_json_put(&json, "granularity",
                 quantized ? json_string(activation->factors ? "per-channel" : "per-tensor") : json_null());
    i4q_json_put(&json, "range",
                 quantized ? json_string(i4q_range_word(plan->activation_options.rule)) : json_null());
    i4q_json_put(&json, "reason", i4q_json_text(i4q_activation_reasons[activation->reason].word));
    return json;
}

/* One that is quantized for all that read it. */
static json_t *fused_json(const struct i4q_plan *plan, const struct i4q_value *value)
{
    const struct i4q_range *range = i4q_plan_fused_range(plan->fused, value);
    json_t *json = json_object();
    i4q_json_put(&json, "tensor", i4q_json_text(value->name));
    i4q_json_put(&json, "bits", json_integer(range->bits));
    i4q_json_put(&json, "scale", i4q_json_real((double)range->scale));
    i4q_json_put(&json, "zero_point", json_integer(range->zero));
    i4q_json_put(&json, "channels", json_null());
    i4q_json_put(&json, "granularity", json_string("per-tensor"));
    i4q_json_put(&json, "range", json_string(i4q_range_word(plan->activation_options.rule)));
    i4q_json_put(&json, "reason", json_null());
    return json;
}

json_t *i4q_report_activations_json(const struct i4q_plan *plan)
{
    json_t *array = json_array();
    for (size_t i = 0; plan->fused && i < plan->fused->n_values; i++)
        i4q_json_add(&array, fused_json(plan, plan->fused->values[i]));
    for (size_t i = 0; !plan->fused && i < plan->n_activations; i++)
        i4q_json_add(&array, activation_json(plan, &plan->activations[i]));
    return array;
}

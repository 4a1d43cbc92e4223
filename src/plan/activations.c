// SPDX-License-Identifier: Apache-2.0
#include "plan/activations.h"

#include "forms/origin_quant.h"
#include "plan/keep_activations.h"
#include "plan/spread.h"
#include "platform/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Values up to here have scales that their type can hold. */
static const double MOST_HALF = 60000, MOST_FLOAT = 0x1p100;

enum { WIDE_BITS = 8 };

const struct i4q_activation_reason_row i4q_activation_reasons[I4Q_INPUT_REASONS] = {
    [I4Q_INPUT_BODY] = {"body", "only Convs inside a body read it"},
    [I4Q_INPUT_IMAGE] = {"image", "an input of the model, with no Conv before it"},
    [I4Q_INPUT_ALREADY_QUANTIZED] = {"already-quantized", "it is quantized already"},
    [I4Q_INPUT_UNMEASURED] = {"unmeasured", "not in the statistics"},
    [I4Q_INPUT_UNREAD] = {"unread", "no Conv with a quantized weight reads it"},
};

const struct i4q_range *i4q_plan_activation_range(const struct i4q_plan_activation *activation)
{
    return activation->is_kept ? &activation->wide : &activation->narrow;
}

/* ---- what Convs stand before */

/* By the index of a value: whether some Conv, or a node with a body, stands before it. */
static bool *find_behind(const struct i4q_plan *plan)
{
    struct i4q_model *model = plan->facts->model;
    const struct i4q_graph *graph = &model->graph;
    bool *behind = i4q_arena_alloc(&model->arena, graph->n_values, sizeof *behind);
    bool *is_conv = i4q_arena_alloc(&model->arena, graph->n_nodes, sizeof *is_conv);
    if (!behind || !is_conv)
        return NULL;
    for (size_t i = 0; i < plan->n_rows; i++)
        is_conv[plan->rows[i].conv->node->index] = true;
    for (const struct i4q_scope *scope = graph->scopes; scope; scope = scope->next)
        if (scope->holder)
            is_conv[scope->holder->index] = true;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct i4q_node *node = graph->sorted[i];
        bool found = is_conv[node->index];
        for (size_t k = 0; k < node->proto->n_input && !found; k++) {
            const struct i4q_value *value = i4q_input_value(node, k);
            found = value && behind[value->index];
        }
        for (size_t k = 0; k < node->proto->n_output && found; k++) {
            const struct i4q_value *value = i4q_output_value(node, k);
            if (value)
                behind[value->index] = true;
        }
    }
    return behind;
}

/* ---- the values that Convs read */

/* Whether the Conv's input is worth a look: its weight may be stored anew. */
static bool is_candidate(const struct i4q_plan_row *row)
{
    bool stays = row->own && !i4q_reasons[row->own].kept && row->own != I4Q_REASON_IMPORTED;
    const struct i4q_weight *weight = row->weight ? row->weight->fact : NULL;
    return !stays && weight && weight->op->is_conv && weight->tensor.rank >= weight->op->least_rank;
}

static size_t input_channels(const struct i4q_weight *weight)
{
    return (size_t)weight->tensor.dims[1] * i4q_weight_groups(weight);
}

static void describe(struct i4q_plan_activation *activation, struct i4q_value *value,
                     const struct i4q_weight *weight)
{
    *activation = (struct i4q_plan_activation){
        .value = value,
        .channels = input_channels(weight),
        .rank = weight->tensor.rank,
        .half = weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16,
        .is_depthwise = true,
    };
}

/* The activation that a Conv reads, which is new the first time; NULL: nothing defines it. */
static struct i4q_plan_activation *activation_of(struct i4q_plan *plan, const struct i4q_plan_row *row,
                                                 uint32_t *numbers)
{
    struct i4q_value *value = i4q_input_value(row->conv->node, 0);
    if (!value)
        return NULL;
    uint32_t *number = &numbers[value->index];
    if (!*number) {
        describe(&plan->activations[plan->n_activations], value, row->weight->fact);
        *number = (uint32_t)++plan->n_activations;
    }
    struct i4q_plan_activation *activation = &plan->activations[*number - 1];
    activation->is_depthwise &= row->weight->fact->tensor.dims[1] == 1;
    return activation;
}

/* Convs in bodies are told of, but go on reading floats. */
static void read_input(struct i4q_plan *plan, struct i4q_plan_row *row, uint32_t *numbers)
{
    struct i4q_plan_activation *activation = activation_of(plan, row, numbers);
    if (!activation || row->conv->node->scope != plan->facts->model->graph.scopes)
        return;
    activation->is_in_main = true;
    row->input = activation;
}

/* Whether a weight can be multiplied: not one whose codes are given, and it has a factor for each element. */
static bool can_fold(const struct i4q_weight *weight, const struct i4q_plan_activation *activation)
{
    return !weight->origin && input_channels(weight) == activation->channels &&
           weight->tensor.rank - 2 < I4Q_KERNEL_RANK;
}

/* Weights that meet different values, or also one that stays float, cannot take up the factors of any. */
static void meet(struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_rows; i++) {
        struct i4q_plan_row *row = &plan->rows[i];
        if (!row->weight)
            continue;
        row->weight->mixed |= row->weight->met && row->weight->input != row->input;
        row->weight->met = true;
        row->weight->input = row->input;
    }
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (row->input)
            row->input->is_shared |= row->weight->mixed || !can_fold(row->weight->fact, row->input);
    }
}

const struct i4q_plan_activation *i4q_plan_activation_met(const struct i4q_plan_weight *weight)
{
    const struct i4q_plan_activation *input = weight->mixed ? NULL : weight->input;
    return input && !input->own && can_fold(weight->fact, input) ? input : NULL;
}

static bool collect(struct i4q_plan *plan, struct i4q_error *error)
{
    struct i4q_model *model = plan->facts->model;
    uint32_t *numbers = i4q_arena_alloc(&model->arena, model->graph.n_values, sizeof *numbers);
    plan->activations = i4q_arena_alloc(&model->arena, plan->n_rows, sizeof *plan->activations);
    if (!numbers || !plan->activations)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < plan->n_rows; i++)
        if (is_candidate(&plan->rows[i]))
            read_input(plan, &plan->rows[i], numbers);
    meet(plan);
    return true;
}

/* ---- the reasons that each has by itself */

static bool is_quantized(const struct i4q_value *value)
{
    const Onnx__NodeProto *node = value->producer ? value->producer->proto : NULL;
    return node && (strcmp(i4q_text(node->op_type), "DequantizeLinear") == 0 || i4q_is_quant(node));
}

static enum i4q_activation_reason judge(const struct i4q_plan_activation *activation, const bool *behind)
{
    const struct i4q_value *value = activation->value;
    if (!activation->is_in_main)
        return I4Q_INPUT_BODY;
    if (!behind[value->index])
        return I4Q_INPUT_IMAGE;
    return is_quantized(value) ? I4Q_INPUT_ALREADY_QUANTIZED : I4Q_INPUT_QUANTIZED;
}

static bool read_spread(const struct i4q_plan *plan, struct i4q_plan_activation *activation,
                        struct i4q_error *error)
{
    struct i4q_histogram *histogram = &activation->histogram;
    if (!i4q_statistics_spread(plan->statistics, activation->value->name,
                               activation->half ? MOST_HALF : MOST_FLOAT, histogram, error))
        return false;
    if (!histogram->channels)
        activation->own = I4Q_INPUT_UNMEASURED;
    if (!histogram->channels || histogram->channels == activation->channels)
        return true;
    error->file = plan->statistics->path;
    return i4q_fail(error, I4Q_MODEL, "'%s|hist' has %zu channels, its Convs read %zu",
                    activation->value->name, histogram->channels, activation->channels);
}

static bool look_up(struct i4q_plan *plan, struct i4q_error *error)
{
    const bool *behind = find_behind(plan);
    size_t unmeasured = 0, found = 0;
    if (!behind)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < plan->n_activations; i++) {
        struct i4q_plan_activation *activation = &plan->activations[i];
        activation->own = judge(activation, behind);
        if (!activation->own && !read_spread(plan, activation, error))
            return false;
        unmeasured += activation->own == I4Q_INPUT_UNMEASURED;
        found += !activation->own;
    }
    if (found || !unmeasured)
        return true;
    error->file = plan->statistics->path;
    return i4q_fail(error, I4Q_MODEL,
                    "it tells of none of the %zu values that Convs read: other names, or another model",
                    unmeasured);
}

/* ---- ranges */

struct ranging {
    struct i4q_plan *plan;
    atomic_bool failed;
};

/* Depthwise Convs have a scale for each channel's weights anyway: they take the factors wholly. Others make
 * the weights of an output differ more, which pays less the more bits there are. */
static unsigned choose_roots(const struct i4q_plan_activation *activation, unsigned bits)
{
    return activation->is_depthwise ? 0 : bits < WIDE_BITS ? 1 : 2;
}

/* Nothing becomes infinite by the division. */
static void bound_factors(struct i4q_plan_activation *activation)
{
    const struct i4q_histogram *histogram = &activation->histogram;
    for (size_t c = 0; activation->half && c < histogram->channels; c++) {
        double reach = fmax(-i4q_histogram_low(histogram, c), i4q_histogram_high(histogram, c));
        activation->factors[c] = fmaxf(activation->factors[c], (float)(reach / MOST_HALF));
    }
}

static bool find_factors(struct i4q_plan_activation *activation, unsigned bits)
{
    if (!activation->factors)
        return true;
    if (!i4q_range_factors(&activation->histogram, choose_roots(activation, bits), activation->factors))
        return false;
    bound_factors(activation);
    return true;
}

static bool find_range(const struct i4q_activation_options *options, struct i4q_plan_activation *activation)
{
    const struct i4q_histogram *histogram = &activation->histogram;
    struct i4q_range_choice choice = {options->rule, options->levels->bits, activation->half};
    const float *factors = activation->factors;
    if (!find_factors(activation, choice.bits) ||
        !i4q_range_find(histogram, factors, &choice, &activation->narrow))
        return false;
    if (!options->has_keep && !options->keep_path)
        return true;
    activation->loss = i4q_range_loss(histogram, factors, &activation->narrow);
    choice.bits = WIDE_BITS;
    return i4q_range_find(histogram, factors, &choice, &activation->wide);
}

static void range_one(void *context, size_t index)
{
    struct ranging *ranging = context;
    struct i4q_plan_activation *activation = &ranging->plan->activations[index];
    if (!activation->own && !find_range(&ranging->plan->activation_options, activation))
        atomic_store(&ranging->failed, true);
}

static bool find_ranges(struct i4q_plan *plan, unsigned threads, struct i4q_error *error)
{
    struct ranging ranging = {.plan = plan};
    for (size_t i = 0; i < plan->n_activations; i++) {
        struct i4q_plan_activation *activation = &plan->activations[i];
        if (activation->own || activation->is_shared || activation->channels == 1 ||
            !plan->activation_options.per_channel)
            continue;
        activation->factors =
            i4q_arena_alloc(&plan->facts->model->arena, activation->channels, sizeof *activation->factors);
        if (!activation->factors)
            return i4q_fail_memory(error);
    }
    i4q_parallel_for(threads, plan->n_activations, range_one, &ranging);
    return !ranging.failed || i4q_fail_memory(error);
}

bool i4q_plan_activations_find(struct i4q_plan *plan, unsigned threads, struct i4q_error *error)
{
    if (!plan->activation_options.levels)
        return true;
    if (!i4q_statistics_have_spreads(plan->statistics)) {
        error->file = plan->statistics->path;
        return i4q_fail(
            error, I4Q_MODEL,
            "no histograms of what Convs read: scripts/calibrate.py writes them, without --no-histograms");
    }
    return collect(plan, error) && look_up(plan, error) && find_ranges(plan, threads, error) &&
           i4q_keep_activations_read(plan, error);
}

/* ---- what becomes of them */

void i4q_plan_activations_conclude(struct i4q_plan *plan)
{
    for (size_t i = 0; i < plan->n_activations; i++) {
        struct i4q_plan_activation *activation = &plan->activations[i];
        activation->reason = activation->own ? activation->own : I4Q_INPUT_UNREAD;
        activation->is_kept = false;
    }
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct i4q_plan_row *row = &plan->rows[i];
        if (row->input && !row->input->own && row->weight->recipe)
            row->input->reason = I4Q_INPUT_QUANTIZED;
    }
    i4q_keep_activations_choose(plan);
}

/* ---- biases */

/* What the quantization of its input adds to the mean of each output channel, the bias takes away. */
static void correct(struct i4q_quantize_job *job, const double *shift)
{
    size_t inputs = job->inner / job->kernel, rows = job->channels / job->groups;
    for (size_t i = 0; i < job->channels * job->inner; i++) {
        size_t channel = i / job->inner, input = i % job->inner / job->kernel;
        job->bias[channel] -= shift[channel / rows * inputs + input] * i4q_job_decoded(job, i);
    }
}

/* `shift` is room for a number a channel. */
static void correct_readers(struct i4q_plan *plan, const struct i4q_plan_activation *activation,
                            double *shift)
{
    for (size_t c = 0; c < activation->channels; c++)
        shift[c] = i4q_range_shift(&activation->histogram, activation->factors, c,
                                   i4q_plan_activation_range(activation));
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct i4q_plan_weight *weight = &plan->weights[i];
        if (weight->recipe && weight->job->bias && i4q_plan_activation_met(weight) == activation)
            correct(weight->job, shift);
    }
}

bool i4q_plan_activations_correct(struct i4q_plan *plan)
{
    size_t most = 1;
    for (size_t i = 0; i < plan->n_activations; i++)
        most = plan->activations[i].channels > most ? plan->activations[i].channels : most;
    double *shift = plan->activation_options.correct ? calloc(most, sizeof *shift) : NULL;
    for (size_t i = 0; shift && i < plan->n_activations; i++)
        if (!plan->activations[i].reason)
            correct_readers(plan, &plan->activations[i], shift);
    bool ok = shift || !plan->activation_options.correct;
    free(shift);
    return ok;
}

// SPDX-License-Identifier: Apache-2.0
#include "plan/means/propagation.h"

#include "base/elementary.h"
#include "platform/threads.h"
#include "quantize/moments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double IMAGE_JOINT = 0.9, CONV_GAIN = 1.5, CONV_VARIANCE = 0.7, LINEAR_VARIANCE = 0.3;

enum { MAX_KERNEL = 512 };

struct conv {
    const struct i4q_weight *weight;
    const struct i4q_known *in;
    size_t inputs, kernel; /* a group's input channels, elements of each */
    size_t groups;
    const double *correlation; /* B [kernel, kernel] */
    const double *bias;        /* or NULL */
    struct i4q_known *out;
};

static double sum_of_kernel(const struct conv *conv, size_t o, size_t c, double *kernel)
{
    double sum = 0;
    for (size_t i = 0; i < conv->kernel; i++) {
        kernel[i] = (double)i4q_weight_element(conv->weight, (o * conv->inputs + c) * conv->kernel + i);
        sum += kernel[i];
    }
    return sum;
}

/* w^T B w */
static double correlated_power(const struct conv *conv, const double *kernel)
{
    double power = 0;
    for (size_t p = 0; p < conv->kernel; p++)
        for (size_t q = 0; q < conv->kernel; q++)
            power += kernel[p] * kernel[q] * conv->correlation[p * conv->kernel + q];
    return power;
}

/* Mean, and variance before it is scaled, of output channel o. */
static void conv_channel(void *context, size_t o)
{
    const struct conv *conv = context;
    double kernel[MAX_KERNEL], joint[MAX_KERNEL] = {0}, mean = conv->bias ? conv->bias[o] : 0, variance = 0;
    size_t first = o / (conv->out->channels / conv->groups) * conv->inputs;
    for (size_t c = 0; c < conv->inputs; c++) {
        mean += sum_of_kernel(conv, o, c, kernel) * conv->in->mean[first + c];
        variance += conv->in->variance[first + c] * correlated_power(conv, kernel);
        for (size_t i = 0; i < conv->kernel; i++)
            joint[i] += kernel[i] * sqrt(conv->in->variance[first + c]);
    }
    if (conv->in->image)
        variance = IMAGE_JOINT * correlated_power(conv, joint) + (1 - IMAGE_JOINT) * variance;
    conv->out->mean[o] = mean;
    conv->out->variance[o] = variance > 0 ? variance : 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void scale_variances(struct i4q_propagation *p, struct i4q_known *out)
{
    double *sorted = i4q_arena_alloc(&p->model->arena, out->channels, sizeof *sorted);
    p->failed |= !sorted;
    if (!sorted)
        return;
    memcpy(sorted, out->variance, out->channels * sizeof *sorted);
    qsort(sorted, out->channels, sizeof *sorted, compare_doubles);
    double median = sorted[out->channels / 2];
    double factor = median > 0 ? sqrt(CONV_GAIN * median * CONV_VARIANCE) / median : 0;
    for (size_t o = 0; o < out->channels; o++)
        out->variance[o] *= factor;
}

static const double *correlations(struct i4q_propagation *p, const struct i4q_weight *weight, size_t kernel)
{
    double *b = i4q_arena_alloc(&p->model->arena, kernel * kernel, sizeof *b);
    p->failed |= !b;
    for (size_t i = 0; b && i < kernel * kernel; i++)
        b[i] = i4q_exp2(
            -i4q_kernel_distance(weight->tensor.dims + 2, weight->tensor.rank - 2, i / kernel, i % kernel));
    return b;
}

/* The bias as binary64, NULL where there is none; false when it is not a constant of as many elements. */
static bool read_bias(struct i4q_propagation *p, const Onnx__NodeProto *node, size_t channels,
                      const double **bias)
{
    enum { BIAS_INPUT = 2 };
    *bias = NULL;
    if (node->n_input <= BIAS_INPUT || !*node->input[BIAS_INPUT])
        return true;
    *bias = i4q_constant_floats(p, node->input[BIAS_INPUT], channels);
    return *bias != NULL;
}

/* Whether what the Conv gives goes on as it is, only into other Convs, or with `sums` also into sums. */
static bool is_linear(const struct i4q_propagation *p, const char *output, bool sums)
{
    const struct i4q_value *value = i4q_scope_resolve(p->model->graph.scopes, output);
    const struct i4q_use *use = value ? value->uses : NULL;
    if (!use || value->is_output)
        return false;
    for (; use; use = use->next)
        if (!i4q_node_is(use->node->proto, "Conv") && !(sums && i4q_node_is(use->node->proto, "Add")))
            return false;
    return true;
}

/* What the quantizer is to know: the mean of every input of every group. */
static void keep_means(struct i4q_propagation *p, const struct conv *conv)
{
    size_t count = conv->groups * conv->inputs;
    float *means = i4q_arena_alloc(&p->model->arena, count * conv->kernel, sizeof *means);
    p->failed |= !means;
    for (size_t i = 0; means && i < count * conv->kernel; i++)
        means[i] = (float)conv->in->mean[i / conv->kernel];
    p->means[conv->weight - p->weights->items] = means;
}

/* Batch normalization, folded into a Conv by now, has centred what it gives, unless an activation follows
 * that needs something else. */
static void centre(struct i4q_known *out)
{
    memset(out->mean, 0, out->channels * sizeof *out->mean);
}

/* A Conv of which only what it gives is known. */
static void blind_conv(struct i4q_propagation *p, const char *output, const struct i4q_weight *weight)
{
    struct i4q_known *out =
        is_linear(p, output, true) ? i4q_known_make(p, output, (size_t)weight->tensor.dims[0]) : NULL;
    if (!out)
        return;
    centre(out);
    for (size_t c = 0; c < out->channels; c++)
        out->variance[c] = LINEAR_VARIANCE;
}

void i4q_pass_conv(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    const struct i4q_weight *weight = i4q_table_get(&p->readable, node->output[0]);
    const struct i4q_known *in = i4q_known_input(p, node, 0);
    if (weight && !in)
        blind_conv(p, node->output[0], weight);
    if (!weight || !in)
        return;
    const struct i4q_tensor *shape = &weight->tensor;
    struct conv conv = {.weight = weight, .in = in, .inputs = (size_t)shape->dims[1], .kernel = 1};
    for (size_t i = 2; i < shape->rank; i++)
        conv.kernel *= (size_t)shape->dims[i];
    size_t channels = (size_t)shape->dims[0];
    conv.groups = in->channels / conv.inputs;
    if (conv.kernel > MAX_KERNEL || conv.groups != i4q_weight_groups(weight) || in->channels % conv.inputs ||
        channels % conv.groups || !read_bias(p, node, channels, &conv.bias))
        return;
    conv.correlation = correlations(p, weight, conv.kernel);
    conv.out = i4q_known_make(p, node->output[0], channels);
    if (p->failed)
        return;
    i4q_parallel_for(p->threads, channels, conv_channel, &conv);
    if (p->is_silu_net)
        scale_variances(p, conv.out);
    if (is_linear(p, node->output[0], false))
        centre(conv.out);
    keep_means(p, &conv);
}

void i4q_pass_normalization(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    enum { SCALE_INPUT = 1, OFFSET_INPUT = 2, INPUTS = 5 };
    const struct i4q_value *scale =
        node->n_input == INPUTS ? i4q_scope_resolve(p->model->graph.scopes, node->input[SCALE_INPUT]) : NULL;
    const Onnx__TensorProto *tensor = scale ? i4q_value_tensor(scale) : NULL;
    size_t channels = tensor && tensor->n_dims == 1 && tensor->dims[0] > 0 ? (size_t)tensor->dims[0] : 0;
    const double *factor = channels ? i4q_constant_floats(p, node->input[SCALE_INPUT], channels) : NULL;
    const double *offset = factor ? i4q_constant_floats(p, node->input[OFFSET_INPUT], channels) : NULL;
    struct i4q_known *out = offset ? i4q_known_make(p, node->output[0], channels) : NULL;
    for (size_t c = 0; out && c < channels; c++) {
        out->mean[c] = offset[c];
        out->variance[c] = factor[c] * factor[c];
    }
}

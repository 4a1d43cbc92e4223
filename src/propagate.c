// SPDX-License-Identifier: Apache-2.0
#include "int4q/propagate.h"

#include "int4q/half.h"
#include "int4q/pool.h"
#include "int4q/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double IMAGE_MEAN = 0.44, IMAGE_VARIANCE = 0.075, IMAGE_JOINT = 0.9;
static const double CONV_GAIN = 1.5, CONV_VARIANCE = 0.7;
static const double POOL_SIGMAS = 1.2, POOL_VARIANCE = 0.6;

enum { SPATIAL_AXIS = 2, MAX_IMAGE_CHANNELS = 4, MAX_KERNEL = 512 };

/* What is known of a value: a mean and a variance a channel. */
struct known {
    size_t channels;
    double *mean, *variance;
    bool image; /* pixels, whose channels vary together */
};

struct propagation {
    struct i4q_model *model;
    const struct i4q_plan *plan;
    unsigned threads;
    struct i4q_table values; /* name → struct known */
    struct i4q_table convs;  /* first output → struct i4q_plan_row */
    const float **means;
    size_t silus; /* that were passed */
    bool failed;  /* sticky: memory ran out */
};

static const struct known *get(const struct propagation *p, const char *name)
{
    return *name ? i4q_table_get(&p->values, name) : NULL;
}

static const struct known *input(const struct propagation *p, const Onnx__NodeProto *node, size_t i)
{
    return i < node->n_input ? get(p, node->input[i]) : NULL;
}

/* Makes output `i` of a node known, for the caller to fill; NULL when memory runs out. */
static struct known *make(struct propagation *p, const char *name, size_t channels)
{
    void **slot = i4q_table_at(&p->values, name);
    struct known *known = i4q_arena_alloc(&p->model->arena, 1, sizeof *known);
    double *numbers = i4q_arena_alloc(&p->model->arena, 2 * channels, sizeof *numbers);
    p->failed |= !slot || !known || !numbers;
    if (p->failed)
        return NULL;
    *known = (struct known){channels, numbers, numbers + channels, false};
    *slot = known;
    return known;
}

static void copy_channels(const struct known *from, size_t first, struct known *to, size_t at, size_t n)
{
    memcpy(to->mean + at, from->mean + first, n * sizeof *to->mean);
    memcpy(to->variance + at, from->variance + first, n * sizeof *to->variance);
}

/* ---- constants */

/* Elements of a constant INT64 input or ints attribute; their number, at most `room`, 0 if it is none. */
static size_t integers(const struct propagation *p, const Onnx__NodeProto *node, const char *attribute,
                       size_t i, int64_t *numbers, size_t room)
{
    const Onnx__AttributeProto *found = i4q_node_attribute(node, attribute);
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    if (found && found->n_ints <= room) {
        memcpy(numbers, found->ints, found->n_ints * sizeof *numbers);
        return found->n_ints;
    }
    const struct i4q_value *value =
        i < node->n_input ? i4q_scope_resolve(p->model->scopes, node->input[i]) : NULL;
    const Onnx__TensorProto *tensor = value ? i4q_value_tensor(value) : NULL;
    if (!tensor || tensor->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ||
        !i4q_tensor_payload(&p->model->arena, tensor, &payload, &ignored) ||
        payload.size / sizeof *numbers > room)
        return 0;
    size_t n = payload.size / sizeof *numbers;
    memcpy(numbers, payload.data, n * sizeof *numbers);
    return n;
}

static int64_t axis_of(const Onnx__NodeProto *node)
{
    const Onnx__AttributeProto *axis = i4q_node_attribute(node, "axis");
    return axis ? axis->i : 0;
}

/* ---- Conv */

struct conv {
    const struct i4q_weight *weight;
    const struct known *in;
    size_t inputs, kernel; /* a group's input channels, elements of each */
    size_t groups;
    const double *correlation; /* B [kernel, kernel] */
    const double *bias;        /* or NULL */
    struct known *out;
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

static void scale_variances(struct propagation *p, struct known *out)
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

static const double *correlations(struct propagation *p, const struct i4q_weight *weight, size_t kernel)
{
    double *b = i4q_arena_alloc(&p->model->arena, kernel * kernel, sizeof *b);
    p->failed |= !b;
    for (size_t i = 0; b && i < kernel * kernel; i++)
        b[i] = exp2(
            -i4q_kernel_distance(weight->tensor.dims + 2, weight->tensor.rank - 2, i / kernel, i % kernel));
    return b;
}

/* The bias as binary64; false when it is not a constant of as many elements. */
static bool read_bias(struct propagation *p, const struct i4q_plan_row *row, size_t channels,
                      const double **bias)
{
    enum { BIAS_INPUT = 2 };
    const Onnx__NodeProto *node = row->conv->node->proto;
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    *bias = NULL;
    if (node->n_input <= BIAS_INPUT || !*node->input[BIAS_INPUT])
        return true;
    const struct i4q_value *value = i4q_scope_resolve(row->conv->node->scope, node->input[BIAS_INPUT]);
    const Onnx__TensorProto *tensor = value ? i4q_value_tensor(value) : NULL;
    bool half = row->weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    size_t size = half ? sizeof(uint16_t) : sizeof(float);
    if (!tensor || tensor->data_type != row->weight->tensor.type ||
        !i4q_tensor_payload(&p->model->arena, tensor, &payload, &ignored) || payload.size != channels * size)
        return false;
    double *numbers = i4q_arena_alloc(&p->model->arena, channels, sizeof *numbers);
    p->failed |= !numbers;
    for (size_t i = 0; numbers && i < channels; i++) {
        uint16_t narrow;
        float wide;
        memcpy(half ? (void *)&narrow : &wide, payload.data + i * size, size);
        numbers[i] = (double)(half ? i4q_half_to_float(narrow) : wide);
    }
    *bias = numbers;
    return numbers != NULL;
}

/* What the quantizer is to know: the mean of every input of every group. */
static void keep_means(struct propagation *p, const struct conv *conv)
{
    size_t count = conv->groups * conv->inputs;
    float *means = i4q_arena_alloc(&p->model->arena, count * conv->kernel, sizeof *means);
    p->failed |= !means;
    for (size_t i = 0; means && i < count * conv->kernel; i++)
        means[i] = (float)conv->in->mean[i / conv->kernel];
    p->means[conv->weight - p->plan->weights] = means;
}

static void conv_node(struct propagation *p, const Onnx__NodeProto *node)
{
    const struct i4q_plan_row *row = i4q_table_get(&p->convs, node->output[0]);
    const struct known *in = input(p, node, 0);
    if (!row || !in)
        return;
    const struct i4q_tensor *shape = &row->weight->tensor;
    struct conv conv = {.weight = row->weight, .in = in, .inputs = (size_t)shape->dims[1], .kernel = 1};
    for (size_t i = 2; i < shape->rank; i++)
        conv.kernel *= (size_t)shape->dims[i];
    size_t channels = (size_t)shape->dims[0];
    conv.groups = in->channels / conv.inputs;
    if (conv.kernel > MAX_KERNEL || conv.groups != i4q_weight_groups(row->weight) ||
        in->channels % conv.inputs || channels % conv.groups || !read_bias(p, row, channels, &conv.bias))
        return;
    conv.correlation = correlations(p, row->weight, conv.kernel);
    conv.out = make(p, node->output[0], channels);
    if (p->failed)
        return;
    i4q_parallel_for(p->threads, channels, conv_channel, &conv);
    scale_variances(p, conv.out);
    keep_means(p, &conv);
}

/* ---- activations */

/* Mean and variance of x sigmoid(x) for a normal x, by the trapezoidal rule over five sigmas. */
static void silu_channel(double mean, double variance, double *out_mean, double *out_variance)
{
    enum { STEPS = 64 };
    double total = 0, first = 0, second = 0, sigma = sqrt(variance);
    for (int i = 0; i <= STEPS; i++) {
        double z = -5 + 10.0 * i / STEPS, density = exp(-z * z / 2), x = mean + sigma * z;
        double y = x / (1 + exp(-x));
        total += density;
        first += density * y;
        second += density * y * y;
    }
    *out_mean = first / total;
    *out_variance = fmax(second / total - *out_mean * *out_mean, 0);
}

/* The value that a Sigmoid turned into `name`, or NULL. */
static const char *sigmoid_input(const struct propagation *p, const char *name)
{
    const struct i4q_value *value = i4q_scope_resolve(p->model->scopes, name);
    const Onnx__NodeProto *node = value && value->producer ? value->producer->proto : NULL;
    return node && i4q_node_is(node, "Sigmoid") && node->n_input ? node->input[0] : NULL;
}

/* x * Sigmoid(x), either way round. */
static void mul_node(struct propagation *p, const Onnx__NodeProto *node)
{
    if (node->n_input != 2)
        return;
    for (size_t i = 0; i < 2; i++) {
        const char *x = sigmoid_input(p, node->input[i]);
        const struct known *in = x && strcmp(x, node->input[1 - i]) == 0 ? get(p, x) : NULL;
        struct known *out = in ? make(p, node->output[0], in->channels) : NULL;
        for (size_t c = 0; out && c < in->channels; c++)
            silu_channel(in->mean[c], in->variance[c], &out->mean[c], &out->variance[c]);
        p->silus += in != NULL;
        if (in)
            return;
    }
}

/* ---- what moves channels about */

static void copy_node(struct propagation *p, const Onnx__NodeProto *node)
{
    const struct known *in = input(p, node, 0);
    struct known *out = in ? make(p, node->output[0], in->channels) : NULL;
    if (!out)
        return;
    copy_channels(in, 0, out, 0, in->channels);
    out->image = in->image;
}

static void add_node(struct propagation *p, const Onnx__NodeProto *node)
{
    const struct known *a = input(p, node, 0), *b = input(p, node, 1);
    struct known *out = a && b && a->channels == b->channels ? make(p, node->output[0], a->channels) : NULL;
    for (size_t c = 0; out && c < a->channels; c++) {
        out->mean[c] = a->mean[c] + b->mean[c];
        out->variance[c] = a->variance[c] + b->variance[c];
    }
}

static void pool_node(struct propagation *p, const Onnx__NodeProto *node)
{
    const struct known *in = input(p, node, 0);
    struct known *out = in ? make(p, node->output[0], in->channels) : NULL;
    for (size_t c = 0; out && c < in->channels; c++) {
        out->mean[c] = in->mean[c] + POOL_SIGMAS * sqrt(in->variance[c]);
        out->variance[c] = POOL_VARIANCE * in->variance[c];
    }
}

static void concat_node(struct propagation *p, const Onnx__NodeProto *node)
{
    size_t channels = 0, at = 0;
    bool image = true;
    for (size_t i = 0; i < node->n_input; i++) {
        const struct known *in = input(p, node, i);
        if (!in || axis_of(node) != 1)
            return;
        channels += in->channels;
        image = image && in->image;
    }
    struct known *out = make(p, node->output[0], channels);
    for (size_t i = 0; out && i < node->n_input; i++) {
        const struct known *in = input(p, node, i);
        copy_channels(in, 0, out, at, in->channels);
        at += in->channels;
        out->image = image;
    }
}

static void split_node(struct propagation *p, const Onnx__NodeProto *node)
{
    enum { ROOM = 64 };
    int64_t sizes[ROOM];
    const struct known *in = input(p, node, 0);
    size_t n = integers(p, node, "split", 1, sizes, ROOM), left;
    if (!in || axis_of(node) != 1 || node->n_output > ROOM)
        return;
    if (!n && !i4q_node_attribute(node, "split") && node->n_input < 2 && in->channels % node->n_output == 0)
        for (; n < node->n_output; n++)
            sizes[n] = (int64_t)(in->channels / node->n_output);
    left = in->channels;
    for (size_t i = 0; i < n; left -= (size_t)sizes[i], i++)
        if (sizes[i] < 0 || (uint64_t)sizes[i] > left)
            return;
    if (n != node->n_output || left)
        return;
    for (size_t i = 0, first = 0; i < n && !p->failed; first += (size_t)sizes[i], i++) {
        struct known *out = sizes[i] > 0 ? make(p, node->output[i], (size_t)sizes[i]) : NULL;
        if (out)
            copy_channels(in, first, out, 0, out->channels);
    }
}

/* Of positions only, as the first layer of YOLOX takes an image apart. */
static void slice_node(struct propagation *p, const Onnx__NodeProto *node)
{
    enum { AXES_INPUT = 3, ROOM = 8 };
    int64_t axes[ROOM];
    size_t n = integers(p, node, "axes", AXES_INPUT, axes, ROOM);
    for (size_t i = 0; i < n; i++)
        if (axes[i] < SPATIAL_AXIS)
            return;
    if (n)
        copy_node(p, node);
}

/* ---- the graph */

static const struct {
    const char *op_type;
    void (*pass)(struct propagation *p, const Onnx__NodeProto *node);
} operators[] = {
    {"Conv", conv_node},     {"Mul", mul_node},       {"Add", add_node},      {"Concat", concat_node},
    {"Split", split_node},   {"Slice", slice_node},   {"MaxPool", pool_node}, {"Resize", copy_node},
    {"Upsample", copy_node}, {"Identity", copy_node},
};

static void pass_node(struct propagation *p, const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators && node->n_output; i++)
        if (i4q_node_is(node, operators[i].op_type))
            operators[i].pass(p, node);
}

/* Inputs [N, few, ...] are images. */
static void start(struct propagation *p)
{
    const Onnx__GraphProto *graph = p->model->proto->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = i4q_text(graph->input[i]->name);
        const struct i4q_value *value = i4q_table_get(&p->model->scopes->values, name);
        const Onnx__TypeProto *type = graph->input[i]->type;
        const Onnx__TensorShapeProto *shape =
            type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? type->tensor_type->shape : NULL;
        if (!shape || shape->n_dim <= SPATIAL_AXIS || !value || value->initializer)
            continue;
        int64_t channels = shape->dim[1]->dim_value;
        struct known *known =
            channels > 0 && channels <= MAX_IMAGE_CHANNELS ? make(p, name, (size_t)channels) : NULL;
        for (size_t c = 0; known && c < known->channels; c++) {
            known->mean[c] = IMAGE_MEAN;
            known->variance[c] = IMAGE_VARIANCE;
            known->image = true;
        }
    }
}

/* The Convs whose weights can be read, and are read by them alone. */
static void find_convs(struct propagation *p)
{
    for (size_t i = 0; i < p->plan->n_rows && !p->failed; i++) {
        const struct i4q_plan_row *row = &p->plan->rows[i];
        bool readable = row->weight && row->conv->op->is_conv && i4q_weight_is_quantizable(row->weight) &&
                        row->weight->tensor.rank > SPATIAL_AXIS && row->weight->tensor.count &&
                        row->conv->node->scope == p->model->scopes && row->conv->node->proto->n_output &&
                        !row->weight->value->uses->next;
        void **slot = readable ? i4q_table_at(&p->convs, row->conv->node->proto->output[0]) : NULL;
        p->failed |= readable && !slot;
        if (slot)
            *slot = (void *)row;
    }
}

bool i4q_propagate_means(struct i4q_model *model, const struct i4q_plan *plan, unsigned threads,
                         const float **means)
{
    struct propagation p = {.model = model, .plan = plan, .threads = threads, .means = means};
    i4q_table_init(&p.values, &model->arena);
    i4q_table_init(&p.convs, &model->arena);
    find_convs(&p);
    start(&p);
    for (const struct i4q_node *node = model->nodes; node && !p.failed; node = node->next)
        if (node->scope == model->scopes)
            pass_node(&p, node->proto);
    if (!p.silus)
        memset(means, 0, plan->n_weights * sizeof *means);
    return !p.failed;
}

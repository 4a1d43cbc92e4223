// SPDX-License-Identifier: Apache-2.0
#include "plan/means/propagate.h"

#include "plan/means/propagation.h"

#include <math.h>
#include <string.h>

static const double IMAGE_MEAN = 0.44, IMAGE_VARIANCE = 0.075;
static const double POOL_SIGMAS = 1.2, POOL_VARIANCE = 0.6;

enum { SPATIAL_AXIS = 2, MAX_IMAGE_CHANNELS = 4 };
enum { MAX_CHANNELS = 1 << 20 }; /* of all values together: real nets have a tenth of it */

/* ---- what moves channels about */

static int64_t axis_of(const Onnx__NodeProto *node)
{
    const Onnx__AttributeProto *axis = i4q_node_attribute(node, "axis");
    return axis ? axis->i : 0;
}

static void copy_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    const struct i4q_known *in = i4q_known_input(p, node, 0);
    struct i4q_known *out = in ? i4q_known_make(p, node->output[0], in->channels) : NULL;
    if (!out)
        return;
    i4q_known_copy(in, 0, out, 0, in->channels);
    out->image = in->image;
}

static void add_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    const struct i4q_known *a = i4q_known_input(p, node, 0), *b = i4q_known_input(p, node, 1);
    struct i4q_known *out =
        a && b && a->channels == b->channels ? i4q_known_make(p, node->output[0], a->channels) : NULL;
    for (size_t c = 0; out && c < a->channels; c++) {
        out->mean[c] = a->mean[c] + b->mean[c];
        out->variance[c] = a->variance[c] + b->variance[c];
    }
}

static void average_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    const struct i4q_known *in = i4q_known_input(p, node, 0);
    struct i4q_known *out = in ? i4q_known_make(p, node->output[0], in->channels) : NULL;
    for (size_t c = 0; out && c < in->channels; c++)
        out->mean[c] = in->mean[c]; /* of so many pixels that nothing varies */
}

static void pool_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    const struct i4q_known *in = i4q_known_input(p, node, 0);
    struct i4q_known *out = in ? i4q_known_make(p, node->output[0], in->channels) : NULL;
    for (size_t c = 0; out && c < in->channels; c++) {
        out->mean[c] = in->mean[c] + POOL_SIGMAS * sqrt(in->variance[c]);
        out->variance[c] = POOL_VARIANCE * in->variance[c];
    }
}

static void concat_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    size_t channels = 0, at = 0;
    bool image = true;
    for (size_t i = 0; i < node->n_input; i++) {
        const struct i4q_known *in = i4q_known_input(p, node, i);
        if (!in || axis_of(node) != 1)
            return;
        channels += in->channels;
        image = image && in->image;
    }
    struct i4q_known *out = i4q_known_make(p, node->output[0], channels);
    for (size_t i = 0; out && i < node->n_input; i++) {
        const struct i4q_known *in = i4q_known_input(p, node, i);
        i4q_known_copy(in, 0, out, at, in->channels);
        at += in->channels;
        out->image = image;
    }
}

static void split_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    enum { ROOM = 64 };
    int64_t sizes[ROOM];
    const struct i4q_known *in = i4q_known_input(p, node, 0);
    size_t n = i4q_constant_integers(p, node, "split", 1, sizes, ROOM), left;
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
        struct i4q_known *out = sizes[i] > 0 ? i4q_known_make(p, node->output[i], (size_t)sizes[i]) : NULL;
        if (out)
            i4q_known_copy(in, first, out, 0, out->channels);
    }
}

/* The second Reshape of a channel shuffle: [n, a, b, ...], axes 1 and 2 exchanged, [n, b a, ...]. */
static void shuffle_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    enum { RANK = 5 };
    int64_t shape[RANK], order[RANK], result[RANK];
    const Onnx__NodeProto *transpose = node->n_input ? i4q_made_by(p, node->input[0]) : NULL;
    const Onnx__NodeProto *split = transpose ? i4q_made_by(p, transpose->input[0]) : NULL;
    const struct i4q_known *in = split && i4q_node_is(transpose, "Transpose") && i4q_node_is(split, "Reshape")
                                     ? i4q_known_input(p, split, 0)
                                     : NULL;
    if (!in || i4q_constant_integers(p, split, "shape", 1, shape, RANK) != RANK ||
        i4q_constant_integers(p, transpose, "perm", SIZE_MAX, order, RANK) != RANK ||
        i4q_constant_integers(p, node, "shape", 1, result, RANK) != RANK - 1)
        return;
    size_t channels = in->channels, a = shape[1] > 0 ? (size_t)shape[1] : 0, b = a ? channels / a : 0;
    if (!b || channels % a || shape[2] != (int64_t)b || (result[1] != -1 && result[1] != (int64_t)channels) ||
        order[0] != 0 || order[1] != 2 || order[2] != 1 || order[3] != 3 || order[4] != 4)
        return;
    struct i4q_known *out = i4q_known_make(p, node->output[0], channels);
    for (size_t i = 0; out && i < channels; i++)
        i4q_known_copy(in, i, out, i % b * a + i / b, 1);
}

/* Of positions only, as the first layer of YOLOX takes an image apart. */
static void slice_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    enum { AXES_INPUT = 3, ROOM = 8 };
    int64_t axes[ROOM];
    size_t n = i4q_constant_integers(p, node, "axes", AXES_INPUT, axes, ROOM);
    for (size_t i = 0; i < n; i++)
        if (axes[i] < SPATIAL_AXIS)
            return;
    if (n)
        copy_node(p, node);
}

/* ---- the graph */

static const struct {
    const char *op_type;
    void (*pass)(struct i4q_propagation *p, const Onnx__NodeProto *node);
} operators[] = {
    {"Conv", i4q_pass_conv}, {"BatchNormalization", i4q_pass_normalization},
    {"Mul", i4q_pass_mul},   {"Add", add_node},
    {"Concat", concat_node}, {"Split", split_node},
    {"Slice", slice_node},   {"Reshape", shuffle_node},
    {"MaxPool", pool_node},  {"GlobalAveragePool", average_node},
    {"Resize", copy_node},   {"Upsample", copy_node},
    {"Identity", copy_node},
};

static void pass_node(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators && node->n_output; i++)
        if (i4q_node_is(node, operators[i].op_type))
            operators[i].pass(p, node);
    if (node->n_output && i4q_is_activation(node))
        i4q_pass_activation(p, node);
}

/* Whether x sigmoid(x) occurs in the main graph. */
static bool has_silu(const struct i4q_propagation *p)
{
    for (const struct i4q_node *node = p->model->graph.nodes; node; node = node->next) {
        const Onnx__NodeProto *gate = node->scope == p->model->graph.scopes && i4q_node_is(node->proto, "Mul")
                                          ? i4q_gate_of(p, node->proto)
                                          : NULL;
        if (gate && i4q_node_is(gate, "Sigmoid"))
            return true;
    }
    return false;
}

/* Inputs [N, few, ...] are images. */
static void start(struct i4q_propagation *p)
{
    const Onnx__GraphProto *graph = p->model->proto->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = i4q_text(graph->input[i]->name);
        const struct i4q_value *value = i4q_table_get(&p->model->graph.scopes->values, name);
        const Onnx__TypeProto__Tensor *type = i4q_tensor_type(graph->input[i]->type);
        const Onnx__TensorShapeProto *shape = type ? type->shape : NULL;
        if (!shape || shape->n_dim <= SPATIAL_AXIS || !value || value->initializer)
            continue;
        int64_t channels = shape->dim[1]->dim_value;
        struct i4q_known *known =
            channels > 0 && channels <= MAX_IMAGE_CHANNELS ? i4q_known_make(p, name, (size_t)channels) : NULL;
        for (size_t c = 0; known && c < known->channels; c++) {
            known->mean[c] = IMAGE_MEAN;
            known->variance[c] = IMAGE_VARIANCE;
            known->image = true;
        }
    }
}

/* The weight of a Conv, if it can be read, and by this Conv alone. */
static struct i4q_weight *readable_weight(const struct i4q_propagation *p, const struct i4q_conv *conv)
{
    struct i4q_weight *weight = i4q_weight_of(p->weights, conv->weight);
    bool readable = weight && conv->op->is_conv && i4q_weight_is_quantizable(weight) &&
                    weight->tensor.rank > SPATIAL_AXIS && weight->tensor.count &&
                    conv->node->scope == p->model->graph.scopes && conv->node->proto->n_output &&
                    !weight->value->uses->next;
    return readable ? weight : NULL;
}

static void find_weights(struct i4q_propagation *p)
{
    for (size_t i = 0; i < p->weights->n_convs && !p->failed; i++) {
        const struct i4q_conv *conv = &p->weights->convs[i];
        struct i4q_weight *weight = readable_weight(p, conv);
        void **slot = weight ? i4q_table_at(&p->readable, conv->node->proto->output[0]) : NULL;
        p->failed |= weight && !slot;
        if (slot)
            *slot = weight;
    }
}

bool i4q_propagate_means(const struct i4q_weights *weights, unsigned threads, const float **means)
{
    struct i4q_model *model = weights->model;
    struct i4q_propagation p = {
        .model = model, .weights = weights, .threads = threads, .means = means, .budget = MAX_CHANNELS};
    i4q_table_init(&p.values, &model->arena);
    i4q_table_init(&p.readable, &model->arena);
    p.is_silu_net = has_silu(&p);
    find_weights(&p);
    start(&p);
    for (const struct i4q_node *node = model->graph.nodes; node && !p.failed; node = node->next)
        if (node->scope == model->graph.scopes)
            pass_node(&p, node->proto);
    return !p.failed;
}

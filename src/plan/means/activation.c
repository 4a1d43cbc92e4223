// SPDX-License-Identifier: Apache-2.0
#include "plan/means/propagation.h"

#include "base/elementary.h"

#include <math.h>
#include <string.h>

static double relu(double x, double a, double b)
{
    return x > 0 ? x : 0;
}
static double leaky_relu(double x, double slope, double b)
{
    return x > 0 ? x : slope * x;
}
static double elu(double x, double alpha, double b)
{
    return x > 0 ? x : alpha * i4q_expm1(x);
}
static double clip(double x, double least, double most)
{
    return fmin(fmax(x, least), most);
}
static double sigmoid(double x, double a, double b)
{
    return 1 / (1 + i4q_exp(-x));
}
static double hard_sigmoid(double x, double alpha, double beta)
{
    return clip(alpha * x + beta, 0, 1);
}
static double hard_swish(double x, double a, double b)
{
    return x * hard_sigmoid(x, 1.0 / 6, 0.5);
}
static double hyperbolic(double x, double a, double b)
{
    return i4q_tanh(x);
}

/* With their parameters: the attributes' names, and the values where there is none. Those of Clip may be
 * inputs. */
static const struct activation {
    const char *op_type;
    double (*value)(double x, double a, double b);
    const char *names[2];
    double parameters[2];
} activations[] = {
    {"Relu", relu, {0}, {0}},
    {"LeakyRelu", leaky_relu, {"alpha"}, {0.01}},
    {"Elu", elu, {"alpha"}, {1}},
    {"Clip", clip, {"min", "max"}, {-INFINITY, INFINITY}},
    {"Sigmoid", sigmoid, {0}, {0}},
    {"HardSigmoid", hard_sigmoid, {"alpha", "beta"}, {0.2, 0.5}},
    {"HardSwish", hard_swish, {0}, {0}},
    {"Tanh", hyperbolic, {0}, {0}},
};

static const struct activation *find_activation(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (i4q_node_is(node, activations[i].op_type))
            return &activations[i];
    return NULL;
}

bool i4q_is_activation(const Onnx__NodeProto *node)
{
    return find_activation(node) != NULL;
}

/* The activation of a node with the parameters that it has there; false if it is none, or one is not
 * constant. */
static bool read_activation(struct i4q_propagation *p, const Onnx__NodeProto *node, struct activation *found)
{
    const struct activation *row = find_activation(node);
    if (!row)
        return false;
    *found = *row;
    for (size_t i = 0; i < 2; i++) {
        const Onnx__AttributeProto *attribute =
            found->names[i] ? i4q_node_attribute(node, found->names[i]) : NULL;
        const char *name = i + 1 < node->n_input ? node->input[i + 1] : "";
        const double *constant = *name ? i4q_constant_floats(p, name, 1) : NULL;
        if (*name && !constant)
            return false;
        found->parameters[i] = attribute ? (double)attribute->f : constant ? *constant : found->parameters[i];
    }
    return true;
}

/* f(x), or with `gated` x f(x), of a normal x: the trapezoidal rule over five sigmas. */
enum { STEPS = 64 };
struct expectation {
    struct activation f;
    bool gated;
    double z[STEPS + 1], density[STEPS + 1]; /* of the standard normal distribution, but for a factor */
    double total;                            /* of the densities */
};

static void place_steps(struct expectation *e)
{
    e->total = 0;
    for (int i = 0; i <= STEPS; i++) {
        e->z[i] = -5 + 10 * i / (double)STEPS;
        e->density[i] = i4q_exp(-e->z[i] * e->z[i] / 2);
        e->total += e->density[i];
    }
}

static void activate_channel(const struct expectation *e, double mean, double variance, double *out_mean,
                             double *out_variance)
{
    double first = 0, second = 0, sigma = sqrt(variance);
    for (int i = 0; i <= STEPS; i++) {
        double x = mean + sigma * e->z[i];
        double y = e->f.value(x, e->f.parameters[0], e->f.parameters[1]) * (e->gated ? x : 1);
        first += e->density[i] * y;
        second += e->density[i] * y * y;
    }
    *out_mean = first / e->total;
    *out_variance = fmax(second / e->total - *out_mean * *out_mean, 0);
}

static void activate(struct i4q_propagation *p, const Onnx__NodeProto *node, bool gated,
                     const struct i4q_known *in, const char *output)
{
    struct expectation e = {.gated = gated};
    struct i4q_known *out =
        in && read_activation(p, node, &e.f) ? i4q_known_make(p, output, in->channels) : NULL;
    place_steps(&e);
    for (size_t c = 0; out && c < in->channels; c++)
        activate_channel(&e, in->mean[c], in->variance[c], &out->mean[c], &out->variance[c]);
}

void i4q_pass_activation(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    activate(p, node, false, i4q_known_input(p, node, 0), node->output[0]);
}

const Onnx__NodeProto *i4q_gate_of(const struct i4q_propagation *p, const Onnx__NodeProto *mul)
{
    for (size_t i = 0; i < 2 && mul->n_input == 2; i++) {
        const Onnx__NodeProto *gate = i4q_made_by(p, mul->input[1 - i]);
        if (gate && i4q_is_activation(gate) && strcmp(gate->input[0], mul->input[i]) == 0)
            return gate;
    }
    return NULL;
}

/* x * f(x), as SiLU is written; else a product of what has nothing to do with each other, as in squeeze and
 * excitation. */
void i4q_pass_mul(struct i4q_propagation *p, const Onnx__NodeProto *node)
{
    const Onnx__NodeProto *gate = i4q_gate_of(p, node);
    if (gate) {
        activate(p, gate, true, i4q_known_input(p, gate, 0), node->output[0]);
        return;
    }
    const struct i4q_known *a = i4q_known_input(p, node, 0), *b = i4q_known_input(p, node, 1);
    struct i4q_known *out =
        a && b && a->channels == b->channels ? i4q_known_make(p, node->output[0], a->channels) : NULL;
    for (size_t c = 0; out && c < a->channels; c++) {
        double square_a = a->mean[c] * a->mean[c], square_b = b->mean[c] * b->mean[c];
        out->mean[c] = a->mean[c] * b->mean[c];
        out->variance[c] = (a->variance[c] + square_a) * (b->variance[c] + square_b) - square_a * square_b;
    }
}

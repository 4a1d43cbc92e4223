// SPDX-License-Identifier: Apache-2.0
#include "forms/nbits_steps.h"

#define ATTRIBUTE_TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

const struct i4q_nbits_step i4q_nbits_activations[I4Q_ACTIVATIONS][I4Q_NBITS_STEPS] = {
    [I4Q_ACTIVATION_NONE] = {{"Identity", {"C"}, "none", {{NULL}}}},
    [I4Q_ACTIVATION_SILU] = {{"Sigmoid", {"C"}, "gate", {{NULL}}}, {"Mul", {"C", "gate"}, "silu", {{NULL}}}},
    [I4Q_ACTIVATION_RELU] = {{"Relu", {"C"}, "relu", {{NULL}}}},
    [I4Q_ACTIVATION_LEAKY_RELU] =
        {{"LeakyRelu", {"C"}, "leaky", {{"alpha", "alpha", ATTRIBUTE_TYPE(FLOAT)}}}},
    [I4Q_ACTIVATION_HARD_SWISH] = {{"HardSwish", {"C"}, "swish", {{NULL}}}},
    [I4Q_ACTIVATION_SIGMOID] = {{"Sigmoid", {"C"}, "sigmoid", {{NULL}}}},
    [I4Q_ACTIVATION_CLIP] = {{"Constant", {NULL}, "low", {{"value_float", "alpha", ATTRIBUTE_TYPE(FLOAT)}}},
                             {"Constant", {NULL}, "high", {{"value_float", "beta", ATTRIBUTE_TYPE(FLOAT)}}},
                             {"Clip", {"C", "low", "high"}, "clip", {{NULL}}}},
};

size_t i4q_nbits_count_steps(size_t activation)
{
    size_t n = 1;
    while (n < I4Q_NBITS_STEPS && i4q_nbits_activations[activation][n].op)
        n++;
    return n;
}

size_t i4q_nbits_count_inputs(const struct i4q_nbits_step *step)
{
    size_t n = 0;
    while (n < sizeof step->inputs / sizeof *step->inputs && step->inputs[n])
        n++;
    return n;
}

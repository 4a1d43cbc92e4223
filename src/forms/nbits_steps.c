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

/* Code i of b bits begins b i bits into the stream, in unit `at`, and is in that one and the next. Where W
 * has its codes one by one a unit is a code, and `at` is i. */
const struct i4q_nbits_step i4q_nbits_codes[] = {
    {"Constant", {NULL}, "zero", .literal = "value_int", .value = 0},
    {"Constant", {NULL}, "one", .literal = "value_int", .value = 1},
    {"Constant", {NULL}, "two", .literal = "value_int", .value = 2},
    {"Constant", {NULL}, "eight", .literal = "value_int", .value = 8},
    {"Constant", {NULL}, "byte", .literal = "value_int", .value = 256},
    {"Constant", {NULL}, "bits", {{"value_int", "bits", ATTRIBUTE_TYPE(INT)}}},
    {"ReduceProd", {"shape"}, "count", .literal = "keepdims", .value = 0},
    {"Range", {"zero", "count", "one"}, "index"},
    {"Mul", {"index", "bits"}, "bit"},
    {"Cast", {"W"}, "wide", .literal = "to", .value = ONNX__TENSOR_PROTO__DATA_TYPE__INT64},
    {"Shape", {"wide"}, "dims"},
    {"Size", {"dims"}, "rank"},
    {"Equal", {"rank", "one"}, "is_stream"},
    {"Where", {"is_stream", "eight", "bits"}, "unit"},
    {"Div", {"bit", "unit"}, "at"},
    {"Mod", {"bit", "unit"}, "shift"},
    {"Flatten", {"wide"}, "units", .literal = "axis", .value = 0},
    {"Size", {"units"}, "length"},
    {"Sub", {"length", "one"}, "last"},
    {"Add", {"at", "one"}, "after"},
    {"Min", {"after", "last"}, "next"},
    {"Gather", {"units", "at"}, "first", .literal = "axis", .value = 1},
    {"Gather", {"units", "next"}, "second", .literal = "axis", .value = 1},
    {"Mul", {"second", "byte"}, "carry"},
    {"Add", {"first", "carry"}, "pair"},
    {"Pow", {"two", "shift"}, "divisor"},
    {"Div", {"pair", "divisor"}, "moved"},
    {"Pow", {"two", "bits"}, "modulus"},
    {"Mod", {"moved", "modulus"}, "field"},
    {"Where", {"is_stream", "field", "first"}, "codes"},
    {"Reshape", {"codes", "shape"}, "shaped"},
    {"Flatten", {"shaped"}, "matrix"},
    {"CastLike", {"matrix", "W"}, "typed"},
    {NULL},
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

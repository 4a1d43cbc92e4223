// SPDX-License-Identifier: Apache-2.0
#include "quantize/method.h"

const struct i4q_method i4q_methods[] = {
    {"absmax", I4Q_SCALE_ABSMAX, false, I4Q_ROUND_NEAREST, false},
    {"squant", I4Q_SCALE_RANGE, true, I4Q_ROUND_SQUANT, true},
    {"calibrated", I4Q_SCALE_RANGE, true, I4Q_ROUND_GPTQ, false},
    {.name = NULL},
};

static const char *const scales[] = {
    [I4Q_SCALE_ABSMAX] = "absmax", [I4Q_SCALE_SIGNED] = "signed", [I4Q_SCALE_RANGE] = "range",
    [I4Q_SCALE_MSE] = "mse",       [I4Q_SCALE_L24] = "l2.4",
};

/* I4Q_ROUND_ESTIMATE is not for users. */
static const char *const roundings[] = {
    [I4Q_ROUND_NEAREST] = "nearest",
    [I4Q_ROUND_SQUANT] = "squant",
    [I4Q_ROUND_DESCENT] = "descent",
    [I4Q_ROUND_GPTQ] = "gptq",
};

const char *i4q_method_word(size_t index)
{
    return index < sizeof i4q_methods / sizeof *i4q_methods ? i4q_methods[index].name : NULL;
}

const char *i4q_scale_word(size_t index)
{
    return index < sizeof scales / sizeof *scales ? scales[index] : NULL;
}

const char *i4q_rounding_word(size_t index)
{
    return index < sizeof roundings / sizeof *roundings ? roundings[index] : NULL;
}

struct i4q_method i4q_method_symmetric(const struct i4q_method *method)
{
    struct i4q_method symmetric = *method;
    symmetric.asymmetric = false;
    if (method->scale == I4Q_SCALE_RANGE)
        symmetric.scale = I4Q_SCALE_MSE;
    return symmetric;
}

bool i4q_method_searches(const struct i4q_method *method)
{
    return method->scale >= I4Q_SCALE_MSE;
}

struct i4q_method i4q_method_for_bits(const struct i4q_method *preset, unsigned bits)
{
    const unsigned few = 3;
    struct i4q_method method = *preset;
    if (bits <= few && method.scale == I4Q_SCALE_RANGE && i4q_method_needs_statistics(preset))
        method.scale = I4Q_SCALE_L24;
    return method;
}

bool i4q_method_needs_statistics(const struct i4q_method *method)
{
    return method->rounding >= I4Q_ROUND_DESCENT;
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/fields.h"

#include "base/bits.h"
#include "onnx/dtype.h"

#include <string.h>

enum { MOST_BITS = 8, MOST_BYTES = 5 }; /* of a group: 8 codes of 5 bits */

struct group {
    unsigned bits;
    int64_t codes, bytes;
    const struct i4q_dtype *type; /* of numbers that hold a group */
};

static struct group group_of(unsigned bits)
{
    int64_t codes = (int64_t)i4q_bits_even(bits);
    bool wide = codes * bits > 31;
    return (struct group){bits, codes, codes * bits / 8,
                          i4q_dtype_find(wide ? I4Q_TYPE(INT64) : I4Q_TYPE(INT32))};
}

/* ---- writing */

/* A constant of the group's type, shared by all weights of this width. */
static const char *constant(struct i4q_emission *emission, const struct group *group, const char *suffix,
                            const int64_t *dims, size_t rank, const int64_t *numbers)
{
    size_t n = 1, size = i4q_dtype_bytes(group->type, 1);
    for (size_t i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    uint8_t *data = i4q_arena_alloc(&emission->model->arena, n, size);
    const char *key = i4q_arena_format(&emission->model->arena, "%s %u %zu", suffix, group->bits, n);
    emission->failed |= !data || !key;
    if (emission->failed)
        return "";
    for (size_t i = 0; i < n; i++)
        memcpy(data + i * size, &numbers[i], size); /* little-endian: the low bytes come first */
    return i4q_emit_shared(emission, key, suffix, group->type->type, dims, rank, data, n * size);
}

/* Zeros that fill up the last group. */
static const char *fill_up(struct i4q_emission *emission, const struct group *group, const char *bytes)
{
    static const int64_t zeros[MOST_BYTES];
    int64_t missing = -(int64_t)i4q_job_code_bytes(emission->job) % group->bytes + group->bytes;
    if (missing == group->bytes)
        return bytes;
    const char *padding = constant(emission, group, "padding", &missing, 1, zeros);
    Onnx__NodeProto *made = i4q_emit_step(emission, "Concat", bytes, padding, NULL);
    i4q_emit_int(emission, made, "axis", 0);
    return i4q_emit_output(made);
}

/* [bytes] as one number a group, [groups, 1]. */
static const char *join(struct i4q_emission *emission, const struct group *group, const char *bytes)
{
    static const int64_t powers[MOST_BYTES] = {1, 1 << 8, 1 << 16, 1 << 24, (int64_t)1 << 32}, two = 2;
    const int64_t view[] = {-1, group->bytes}, column[] = {group->bytes, 1};
    const struct group shapes = {group->bits, 0, 0, i4q_dtype_find(I4Q_TYPE(INT64))};
    const char *rows = i4q_emit_output(
        i4q_emit_step(emission, "Reshape", bytes, constant(emission, &shapes, "view", &two, 1, view), NULL));
    if (group->bytes == 1)
        return rows;
    const char *places = constant(emission, group, "places", column, 2, powers);
    return i4q_emit_output(i4q_emit_step(emission, "MatMul", rows, places, NULL));
}

const char *i4q_emit_fields(struct i4q_emission *emission, const char *packed)
{
    const struct group group = group_of(emission->job->format->bits);
    int64_t steps[MOST_BITS];
    const int64_t modulus = (int64_t)1 << group.bits;
    for (int64_t i = 0; i < group.codes; i++)
        steps[i] = (int64_t)1 << group.bits * i;
    Onnx__NodeProto *cast = i4q_emit_step(emission, "Cast", packed, NULL, NULL);
    i4q_emit_int(emission, cast, "to", group.type->type);
    const char *numbers = join(emission, &group, fill_up(emission, &group, i4q_emit_output(cast)));
    const char *divisors = constant(emission, &group, "divisors", &group.codes, 1, steps);
    Onnx__NodeProto *shifted = i4q_emit_step(emission, "Div", numbers, divisors, NULL);
    return i4q_emit_output(i4q_emit_step(emission, "Mod", i4q_emit_output(shifted),
                                         constant(emission, &group, "modulus", NULL, 0, &modulus), NULL));
}

/* ---- reading */

/* The width of which 2^b is the modulus. */
static unsigned width_of(struct i4q_walk *walk, const struct i4q_node *mod)
{
    const Onnx__TensorProto *modulus = mod ? i4q_input_tensor(mod, 1) : NULL;
    struct i4q_view payload;
    struct i4q_error ignored = {0};
    int64_t number = 0;
    if (!modulus || !i4q_tensor_payload(walk->arena, modulus, &payload, &ignored) || !payload.size ||
        payload.size > sizeof number)
        return 0;
    memcpy(&number, payload.data, payload.size);
    for (unsigned bits = 2; bits < MOST_BITS; bits++)
        if (number == (int64_t)1 << bits)
            return bits;
    return 0;
}

unsigned i4q_walk_fields(struct i4q_walk *walk)
{
    unsigned bits = width_of(walk, i4q_walk_step(walk, "Mod"));
    if (!bits || !i4q_walk_step(walk, "Div"))
        return 0;
    i4q_walk_step(walk, "MatMul");
    if (!i4q_walk_step(walk, "Reshape"))
        return 0;
    i4q_walk_step(walk, "Concat");
    return walk->at && i4q_node_is(walk->at->proto, "Cast") ? bits : 0;
}

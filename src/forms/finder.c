// SPDX-License-Identifier: Apache-2.0
#include "forms/finder.h"

#include "forms/recognise.h"

#include <math.h>
#include <string.h>

enum { MOST_BITS = 8 };

void i4q_finder_blame(struct i4q_finder *finder, enum i4q_fault fault)
{
    if (!finder->origin->fault)
        finder->origin->fault = fault;
}

void i4q_finder_flaw(struct i4q_finder *finder, const char *what)
{
    if (finder->origin->flaw)
        return;
    i4q_finder_blame(finder, I4Q_FAULT_COMPUTED);
    const Onnx__NodeProto *node = finder->node ? finder->node->proto : NULL;
    finder->origin->flaw = node ? i4q_arena_format(finder->arena, "node '%s' (%s): %s", i4q_node_label(node),
                                                   i4q_text(node->op_type), what)
                                : i4q_arena_format(finder->arena, "%s", what);
    finder->failed |= !finder->origin->flaw;
}

/* ---- tensors */

struct i4q_value *i4q_finder_value(const struct i4q_node *node, size_t input)
{
    struct i4q_value *value = i4q_input_value(node, input);
    return value ? i4q_value_behind_identities(value) : NULL;
}

/* Many Convs may read one tensor, whose small integers are copied out of the wide ones that they are stored
 * as: once. */
static bool open_numbers(struct i4q_finder *finder, const Onnx__TensorProto *proto,
                         struct i4q_numbers *numbers, struct i4q_error *error)
{
    if (!finder->copies || !proto->n_int32_data)
        return i4q_numbers_open(finder->arena, proto, numbers, error);
    const char *key = i4q_arena_format(finder->arena, "%p", (const void *)proto);
    void **slot = key ? i4q_table_at(finder->copies, key) : NULL;
    if (!slot)
        return i4q_fail_memory(error);
    if (*slot) {
        *numbers = *(const struct i4q_numbers *)*slot;
        return true;
    }
    struct i4q_numbers *copy = i4q_arena_alloc(finder->arena, 1, sizeof *copy);
    if (!copy)
        return i4q_fail_memory(error);
    if (!i4q_numbers_open(finder->arena, proto, numbers, error))
        return false;
    *copy = *numbers;
    *slot = copy;
    return true;
}

const Onnx__TensorProto *i4q_finder_open(struct i4q_finder *finder, const struct i4q_value *value,
                                         struct i4q_tensor *tensor, struct i4q_numbers *numbers)
{
    struct i4q_error found = {0};
    const Onnx__TensorProto *proto = value ? i4q_value_tensor(value) : NULL;
    if (!proto)
        return NULL;
    if (!i4q_tensor_describe(proto, tensor, &found) || !open_numbers(finder, proto, numbers, &found)) {
        finder->failed |= found.code != I4Q_MODEL;
        i4q_finder_flaw(finder, found.message);
        return NULL;
    }
    return proto;
}

/* One integer of 32 or 64 bits, as the number that it is. */
static bool widen(struct i4q_finder *finder, const Onnx__TensorProto *proto, struct i4q_numbers *numbers,
                  struct i4q_error *error)
{
    bool is_int64 = i4q_is_type(proto, I4Q_TYPE(INT64));
    double *wide = i4q_arena_alloc(finder->arena, 1, sizeof *wide);
    struct i4q_view payload;
    int64_t long_one;
    int32_t one;
    if (!wide || !i4q_tensor_payload(finder->arena, proto, &payload, error))
        return wide || i4q_fail_memory(error);
    memcpy(is_int64 ? (void *)&long_one : (void *)&one, payload.data,
           is_int64 ? sizeof long_one : sizeof one);
    *wide = is_int64 ? (double)long_one : one;
    *numbers = (struct i4q_numbers){.type = i4q_dtype_find(I4Q_TYPE(DOUBLE)),
                                    .bits = 8 * sizeof *wide,
                                    .payload = {(const uint8_t *)wide, sizeof *wide},
                                    .count = 1};
    return true;
}

const Onnx__TensorProto *i4q_finder_open_wide(struct i4q_finder *finder, const struct i4q_value *value,
                                              struct i4q_tensor *tensor, struct i4q_numbers *numbers)
{
    struct i4q_error found = {0};
    const Onnx__TensorProto *proto = i4q_finder_open(finder, value, tensor, numbers);
    bool is_wide = i4q_is_type(proto, I4Q_TYPE(INT64)) || i4q_is_type(proto, I4Q_TYPE(INT32));
    if (!is_wide || tensor->count != 1 || widen(finder, proto, numbers, &found))
        return proto;
    finder->failed |= found.code != I4Q_MODEL;
    i4q_finder_flaw(finder, found.message);
    return NULL;
}

void i4q_finder_elements(struct i4q_finder *finder, const struct i4q_value *value)
{
    static const int64_t one[] = {1};
    struct i4q_origin *origin = finder->origin;
    if (finder->is_activation)
        return;
    origin->stored = value;
    origin->proto = i4q_finder_open(finder, value, &origin->tensor, &origin->elements);
    if (!origin->proto)
        i4q_finder_blame(finder, I4Q_FAULT_COMPUTED);
    else if (!origin->elements.type)
        i4q_finder_blame(finder, I4Q_FAULT_DTYPE);
    else if (!origin->tensor.count || !(origin->tensor.rank || finder->takes_scalars))
        i4q_finder_blame(finder, I4Q_FAULT_EMPTY);
    else if (!origin->tensor.rank) {
        origin->tensor.rank = 1;
        origin->tensor.dims = one;
    }
}

bool i4q_is_type(const Onnx__TensorProto *proto, int32_t type)
{
    return proto && proto->data_type == type;
}

/* ---- parameters */

/* The only dimension that is other than 1, counted from behind; 0: all are 1. */
static bool find_wide(const struct i4q_tensor *tensor, size_t *from_behind)
{
    size_t wide = 0;
    *from_behind = 0;
    for (size_t i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] != 1) {
            *from_behind = tensor->rank - i;
            wide++;
        }
    return wide <= 1;
}

/* Right-aligned, without another dimension for the elements. */
static bool find_broadcast_axis(const struct i4q_finder *finder, const struct i4q_tensor *tensor,
                                size_t *axis)
{
    const struct i4q_tensor *elements = &finder->origin->tensor;
    size_t from_behind;
    if (!find_wide(tensor, &from_behind) || tensor->rank > finder->origin->proto->n_dims)
        return false;
    *axis = elements->rank - from_behind;
    return !from_behind || elements->dims[*axis] == tensor->dims[tensor->rank - from_behind];
}

static bool find_axis(const struct i4q_finder *finder, const struct i4q_tensor *tensor,
                      const struct i4q_spread *spread, size_t *axis)
{
    const struct i4q_tensor *elements = &finder->origin->tensor;
    int64_t along = spread->axis < 0 ? spread->axis + (int64_t)elements->rank : spread->axis;
    if (finder->is_activation)
        return find_wide(tensor, axis);
    if (spread->broadcast)
        return find_broadcast_axis(finder, tensor, axis);
    if (tensor->rank > 1 || tensor->count == 1)
        return tensor->rank <= 1;
    *axis = (size_t)along;
    return along >= 0 && along < (int64_t)elements->rank && elements->dims[along] == tensor->dims[0];
}

/* Reads an input. Where there is none, or it is at fault, the parameter has no tensor. */
static void read_parameter(struct i4q_finder *finder, const struct i4q_node *node, size_t input,
                           const struct i4q_spread *spread, enum i4q_fault computed, enum i4q_fault shape,
                           struct i4q_parameter *parameter)
{
    struct i4q_tensor tensor;
    struct i4q_parameter found = {0};
    const struct i4q_value *value = i4q_finder_value(node, input);
    found.proto = i4q_finder_open_wide(finder, value, &tensor, &found.numbers);
    finder->origin->reads_input |= value && value->is_input;
    if (!i4q_has_input(node, input) || !(finder->is_activation || finder->origin->proto))
        return;
    if (!found.proto)
        i4q_finder_blame(finder, computed);
    else if (!found.numbers.type || (spread->is_float && !i4q_is_type(found.proto, I4Q_TYPE(FLOAT))))
        i4q_finder_blame(finder, I4Q_FAULT_DTYPE);
    else if (!tensor.count || !find_axis(finder, &tensor, spread, &found.axis))
        i4q_finder_blame(finder, shape);
    else
        *parameter = found;
}

void i4q_finder_scale(struct i4q_finder *finder, const struct i4q_node *node, size_t input,
                      const struct i4q_spread *spread, struct i4q_parameter *scale)
{
    read_parameter(finder, node, input, spread, I4Q_FAULT_SCALE_COMPUTED, I4Q_FAULT_SCALE_SHAPE, scale);
    if (!i4q_has_input(node, input))
        i4q_finder_flaw(finder, "it has no scale");
    for (size_t i = 0; scale->proto && i < scale->numbers.count; i++) {
        double number = i4q_number(&scale->numbers, i);
        if (!isfinite(number) || !(number > 0))
            i4q_finder_blame(finder, I4Q_FAULT_SCALE_VALUE);
    }
}

void i4q_finder_zero(struct i4q_finder *finder, const struct i4q_node *node, size_t input,
                     const struct i4q_spread *spread, struct i4q_parameter *zero)
{
    read_parameter(finder, node, input, spread, I4Q_FAULT_ZERO_POINT, I4Q_FAULT_ZERO_POINT, zero);
    for (size_t i = 0; zero->proto && i < zero->numbers.count; i++) {
        double number = i4q_number(&zero->numbers, i);
        if (!(fabs(number) <= 1 << MOST_BITS) || number != rint(number))
            i4q_finder_blame(finder, I4Q_FAULT_ZERO_POINT);
    }
}

void i4q_finder_settle(struct i4q_finder *finder, size_t otherwise)
{
    struct i4q_origin *origin = finder->origin;
    const struct i4q_parameter *parameters[] = {&origin->scale, &origin->zero, &origin->code_scale,
                                                &origin->code_zero};
    bool found = false;
    origin->axis = otherwise < origin->tensor.rank ? otherwise : 0; /* 0 of an activation */
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        const struct i4q_parameter *parameter = parameters[i];
        if (!parameter->proto || parameter->numbers.count == 1)
            continue;
        if (found && parameter->axis != origin->axis)
            i4q_finder_blame(finder, i % 2 ? I4Q_FAULT_ZERO_POINT : I4Q_FAULT_SCALE_SHAPE);
        origin->axis = parameter->axis;
        found = true;
    }
}

void i4q_finder_expect_floats(struct i4q_finder *finder)
{
    if (finder->origin->proto && !i4q_is_type(finder->origin->proto, I4Q_TYPE(FLOAT)))
        i4q_finder_blame(finder, I4Q_FAULT_DTYPE);
}

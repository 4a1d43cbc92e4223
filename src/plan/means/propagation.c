// SPDX-License-Identifier: Apache-2.0
#include "plan/means/propagation.h"

#include "base/half.h"
#include "onnx/tensor.h"

#include <string.h>

const struct i4q_known *i4q_known_input(const struct i4q_propagation *p, const Onnx__NodeProto *node,
                                        size_t i)
{
    return i < node->n_input && *node->input[i] ? i4q_table_get(&p->values, node->input[i]) : NULL;
}

struct i4q_known *i4q_known_make(struct i4q_propagation *p, const char *name, size_t channels)
{
    if (channels > p->budget)
        return NULL;
    p->budget -= channels;
    void **slot = i4q_table_at(&p->values, name);
    struct i4q_known *known = i4q_arena_alloc(&p->model->arena, 1, sizeof *known);
    double *numbers = i4q_arena_alloc(&p->model->arena, 2 * channels, sizeof *numbers);
    p->failed |= !slot || !known || !numbers;
    if (p->failed)
        return NULL;
    *known = (struct i4q_known){channels, numbers, numbers + channels, false};
    *slot = known;
    return known;
}

void i4q_known_copy(const struct i4q_known *from, size_t first, struct i4q_known *to, size_t at, size_t n)
{
    memcpy(to->mean + at, from->mean + first, n * sizeof *to->mean);
    memcpy(to->variance + at, from->variance + first, n * sizeof *to->variance);
}

size_t i4q_constant_integers(const struct i4q_propagation *p, const Onnx__NodeProto *node,
                             const char *attribute, size_t i, int64_t *numbers, size_t room)
{
    const Onnx__AttributeProto *found = i4q_node_attribute(node, attribute);
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    if (found && found->n_ints && found->n_ints <= room) {
        memcpy(numbers, found->ints, found->n_ints * sizeof *numbers);
        return found->n_ints;
    }
    const struct i4q_value *value =
        i < node->n_input ? i4q_scope_resolve(p->model->graph.scopes, node->input[i]) : NULL;
    const Onnx__TensorProto *tensor = value ? i4q_value_tensor(value) : NULL;
    if (!tensor || tensor->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__INT64 ||
        !i4q_tensor_payload(&p->model->arena, tensor, &payload, &ignored) ||
        payload.size / sizeof *numbers > room)
        return 0;
    size_t n = payload.size / sizeof *numbers;
    memcpy(numbers, payload.data, n * sizeof *numbers);
    return n;
}

const double *i4q_constant_floats(struct i4q_propagation *p, const char *name, size_t count)
{
    const struct i4q_value *value = i4q_scope_resolve(p->model->graph.scopes, name);
    const Onnx__TensorProto *tensor = value ? i4q_value_tensor(value) : NULL;
    bool half = tensor && tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    size_t size = i4q_real_size(half);
    struct i4q_error ignored = {0};
    struct i4q_view payload;
    if (!tensor || (!half && tensor->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) ||
        !i4q_tensor_payload(&p->model->arena, tensor, &payload, &ignored) || payload.size % size ||
        payload.size / size != count)
        return NULL;
    double *numbers = i4q_arena_alloc(&p->model->arena, count, sizeof *numbers);
    p->failed |= !numbers;
    for (size_t i = 0; numbers && i < count; i++)
        numbers[i] = (double)i4q_real_load(payload.data, half, i);
    return numbers;
}

const Onnx__NodeProto *i4q_made_by(const struct i4q_propagation *p, const char *name)
{
    const struct i4q_value *value = i4q_scope_resolve(p->model->graph.scopes, name);
    const Onnx__NodeProto *node = value && value->producer ? value->producer->proto : NULL;
    return node && node->n_input ? node : NULL;
}

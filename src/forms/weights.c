// SPDX-License-Identifier: Apache-2.0
#include "forms/weights.h"

#include "base/checked.h"
#include "forms/convs.h"
#include "platform/threads.h"

#include <math.h>

/* Many nodes may make weights of one tensor, but not turn a small model into one that fills the memory. */
enum { IMPORTED_RATIO = 64, IMPORTED_ROOM = 16 << 20 };

static bool take_room(struct i4q_weights *weights, const struct i4q_origin *origin, struct i4q_error *error)
{
    size_t model = i4q_model_bytes(weights->model), limit;
    if (!i4q_mul_size(model, IMPORTED_RATIO, &limit) || !i4q_add_size(limit, IMPORTED_ROOM, &limit))
        limit = SIZE_MAX;
    if (i4q_add_size(weights->imported, origin->tensor.count, &weights->imported) &&
        weights->imported <= limit)
        return true;
    return i4q_fail(error, I4Q_MODEL, "its integers take more than %d bytes for each of its %zu",
                    IMPORTED_RATIO, model);
}

/* Adds the weight of a Conv that stands for integers already, if they can be stored. What else becomes known
 * of it is a fault of the origin, which the model's arena holds. */
static bool import(struct i4q_weights *weights, const struct i4q_conv *conv, struct i4q_error *error)
{
    struct i4q_origin *origin = conv->origin;
    if (origin->flaw)
        return i4q_fail(error, I4Q_MODEL, "%s", origin->flaw);
    uint32_t *number = &weights->numbers[origin->value->index];
    struct i4q_storing storing;
    if (!*number && !origin->fault && !take_room(weights, origin, error))
        return false;
    enum i4q_fault fault = *number || origin->fault ? I4Q_FAULT_NONE : i4q_origin_choose(origin, &storing);
    bool stays = fault && origin->dialect == I4Q_DIALECT_INT8;
    origin->fault = origin->fault || stays ? origin->fault : fault;
    if (origin->fault || stays)
        return true;
    if (!*number) {
        i4q_weight_describe_origin(conv, &storing, &weights->items[weights->count++]);
        *number = (uint32_t)weights->count;
    }
    weights->numbers[conv->weight->index] = *number;
    return true;
}

/* Adds the weight of a Conv, if it is the first that reads it. */
static bool add(struct i4q_weights *weights, const struct i4q_conv *conv, struct i4q_error *error)
{
    uint32_t *number = &weights->numbers[conv->weight->index];
    if (weights->import && conv->origin && conv->origin->value->scope->graph)
        return import(weights, conv, error);
    if (conv->source != I4Q_SOURCE_STORED || *number)
        return true;
    struct i4q_weight *weight = &weights->items[weights->count++];
    *number = (uint32_t)weights->count;
    return i4q_weight_describe(&weights->model->arena, weights->ops, conv, weight, error);
}

bool i4q_weights_find(struct i4q_model *model, unsigned ops, bool import, struct i4q_weights *weights,
                      struct i4q_error *error)
{
    *weights = (struct i4q_weights){.model = model, .ops = ops, .import = import};
    if (!i4q_convs_find(model, ops | i4q_ops_beside(ops), import ? i4q_ops_all() : 0, &weights->convs,
                        &weights->n_convs, error))
        return false;
    weights->items = i4q_arena_alloc(&model->arena, weights->n_convs, sizeof *weights->items);
    weights->numbers = i4q_arena_alloc(&model->arena, model->graph.n_values, sizeof *weights->numbers);
    if (!weights->items || !weights->numbers)
        return i4q_fail_memory(error);
    for (size_t i = 0; i < weights->n_convs; i++)
        if (!add(weights, &weights->convs[i], error))
            return false;
    return true;
}

struct i4q_weight *i4q_weight_of(const struct i4q_weights *weights, const struct i4q_value *value)
{
    uint32_t number = weights->numbers[value->index];
    return number ? &weights->items[number - 1] : NULL;
}

/* ---- what the numbers tell */

struct look {
    struct i4q_weights *weights;
    const bool *wanted;
    const struct i4q_kernels *kernels;
};

static bool is_finite(const struct i4q_kernels *kernels, const struct i4q_weight *weight, size_t start,
                      size_t n)
{
    float widened[I4Q_RUN];
    bool half = weight->tensor.type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    const uint8_t *data = weight->payload.data + start * (half ? sizeof(uint16_t) : sizeof(float));
    if (half)
        kernels->widen16(data, n, widened);
    return isfinite(kernels->absmax(half ? (const void *)widened : data, n));
}

static void look_through(void *context, size_t index)
{
    const struct look *look = context;
    struct i4q_weight *weight = &look->weights->items[index];
    size_t count = weight->tensor.count;
    if (!look->wanted[index] || weight->looked_through)
        return;
    weight->looked_through = weight->finite = true;
    for (size_t start = 0; start < count && weight->finite; start += I4Q_RUN) {
        size_t n = count - start < I4Q_RUN ? count - start : I4Q_RUN;
        weight->finite = is_finite(look->kernels, weight, start, n);
        i4q_model_release(look->weights->model, n * (weight->tensor.bytes / count));
    }
}

void i4q_weights_look_through(struct i4q_weights *weights, const bool *wanted,
                              const struct i4q_kernels *kernels, unsigned threads)
{
    struct look look = {weights, wanted, kernels};
    i4q_parallel_for(threads, weights->count, look_through, &look);
}

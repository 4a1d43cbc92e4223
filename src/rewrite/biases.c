// SPDX-License-Identifier: Apache-2.0
#include "rewrite/biases.h"

#include "base/half.h"
#include "forms/recognise.h"
#include "onnx/dtype.h"
#include "onnx/edit.h"
#include "onnx/prune.h"
#include "onnx/tensor.h"

#include <string.h>

/* Many nodes may decode the same integers, but not turn a small model into one that fills the memory. */
enum { FOLDED_RATIO = 8 };

static const char MICROSOFT[] = "com.microsoft";

/* One input of the DequantizeLinear: `count` is 0 where there is none. */
struct vector {
    const struct i4q_dtype *type;
    struct i4q_view payload;
    size_t count;
};

static bool open_vector(struct i4q_arena *arena, const struct i4q_node *node, size_t input,
                        struct vector *vector)
{
    struct i4q_error ignored = {0};
    struct i4q_tensor tensor;
    const Onnx__TensorProto *proto = i4q_input_tensor(node, input);
    *vector = (struct vector){0};
    if (!i4q_has_input(node, input))
        return input == 2;
    if (!proto || !i4q_tensor_describe(proto, &tensor, &ignored) || tensor.rank > 1 ||
        !i4q_tensor_payload(arena, proto, &vector->payload, &ignored))
        return false;
    vector->type = i4q_dtype_find(tensor.type);
    vector->count = tensor.count;
    return true;
}

static bool is_integers(const struct vector *vector)
{
    return vector->type->kind == I4Q_DTYPE_SIGNED &&
           (vector->type->bits == 8 || vector->type->bits == 16 || vector->type->bits == 32);
}

static int32_t integer(const struct vector *vector, size_t i)
{
    size_t width = vector->type->bits / 8, shift = 32 - vector->type->bits;
    uint32_t bits = 0;
    for (size_t k = 0; k < width; k++)
        bits |= (uint32_t)vector->payload.data[i * width + k] << (8 * k + shift);
    return (int32_t)bits / (1 << shift); /* the shifted-out bits are 0 */
}

static bool fits(const struct vector *vector, size_t count)
{
    return vector->count == 1 || vector->count == count;
}

static float decode(const struct vector *codes, const struct vector *scale, const struct vector *zero,
                    size_t i)
{
    int64_t offset = zero->count ? integer(zero, zero->count == 1 ? 0 : i) : 0;
    return (float)(integer(codes, i) - offset) *
           i4q_real_load(scale->payload.data, false, scale->count == 1 ? 0 : i);
}

/* The initializer that the node's output becomes; NULL where it is not such a node, or memory runs out. */
static Onnx__TensorProto *fold(struct i4q_model *model, const struct i4q_node *node, size_t room)
{
    struct vector codes, scale, zero;
    bool is_dequantize = i4q_node_is(node->proto, "DequantizeLinear") ||
                         i4q_node_is_of(node->proto, MICROSOFT, "DequantizeLinear");
    if (!is_dequantize || !node->scope->graph || node->proto->n_output != 1 ||
        !open_vector(&model->arena, node, 0, &codes) || !open_vector(&model->arena, node, 1, &scale) ||
        !open_vector(&model->arena, node, 2, &zero))
        return NULL;
    size_t n = codes.count;
    bool sound = n && n <= room / sizeof(float) && is_integers(&codes) &&
                 scale.type->type == I4Q_TYPE(FLOAT) && fits(&scale, n) &&
                 (!zero.count || (is_integers(&zero) && fits(&zero, n)));
    int64_t dims = (int64_t)n;
    Onnx__TensorProto *made = sound ? i4q_edit_blank_tensor(model, node->proto->output[0], I4Q_TYPE(FLOAT),
                                                            &dims, 1, n * sizeof(float))
                                    : NULL;
    for (size_t i = 0; made && i < n; i++)
        i4q_real_store(made->raw_data.data, false, i, decode(&codes, &scale, &zero, i));
    return made;
}

/* Folds those of one graph; names that may have lost their last reader go into `unread`. */
static bool fold_graph(struct i4q_model *model, struct i4q_scope *scope, struct i4q_list *unread,
                       size_t *room, size_t *count)
{
    Onnx__GraphProto *graph = scope->graph;
    size_t kept = 0;
    for (size_t i = 0; i < scope->n_nodes; i++) {
        const struct i4q_node *node = &scope->nodes[i];
        Onnx__TensorProto *made = fold(model, node, *room);
        if (!made) {
            graph->node[kept++] = node->proto;
            continue;
        }
        for (size_t k = 0; k < node->proto->n_input; k++)
            if (!i4q_list_add(&model->arena, unread, node->proto->input[k]))
                return false;
        if (!i4q_edit_add_initializer(model, scope, made))
            return false;
        *room -= made->raw_data.len;
        ++*count;
    }
    graph->n_node = kept;
    return true;
}

bool i4q_fold_biases(struct i4q_model *model, size_t *count, struct i4q_error *error)
{
    struct i4q_list unread = {0};
    size_t room = FOLDED_RATIO * i4q_model_bytes(model); /* at most 2 GiB, and what is outside */
    *count = 0;
    for (struct i4q_scope *scope = model->graph.scopes; scope; scope = scope->next)
        if (scope->graph && !fold_graph(model, scope, &unread, &room, count))
            return i4q_fail_memory(error);
    for (struct i4q_scope *scope = model->graph.scopes; scope && *count; scope = scope->next)
        if (scope->graph && !i4q_prune(model, scope->graph, &unread))
            return i4q_fail_memory(error);
    if (!i4q_model_index(model, error))
        return false;
    i4q_prune_import(model, MICROSOFT);
    return true;
}

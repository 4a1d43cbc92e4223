// SPDX-License-Identifier: Apache-2.0
#include "forms/fakes.h"

#include "forms/finn.h"
#include "forms/origin_quant.h"

#include <string.h>

static const char *const ops[] = {"Quant",      "IntQuant", "BipolarQuant",
                                  "FloatQuant", "Trunc",    "MultiThreshold"};

enum { N_OPS = sizeof ops / sizeof *ops, THRESHOLDS = N_OPS - 1 };

const char *i4q_fake_op(size_t index)
{
    return index < N_OPS ? ops[index] : NULL;
}

static bool find_op(const Onnx__NodeProto *node, size_t *op)
{
    for (*op = 0; *op < N_OPS && !i4q_is_quant_op(node, ops[*op]);)
        ++*op;
    return *op < N_OPS;
}

bool i4q_is_fake(const Onnx__NodeProto *node)
{
    size_t op;
    return find_op(node, &op);
}

/* MultiThreshold tells the type of its codes. */
static bool read_type(struct i4q_arena *arena, struct i4q_fake *fake)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(fake->node->proto, "out_dtype");
    double low, high;
    if (!attribute || !attribute->has_s || attribute->s.len > I4Q_FAKE_BITS)
        return true;
    const char *type =
        i4q_arena_format(arena, "%.*s", (int)attribute->s.len, (const char *)attribute->s.data);
    if (type && !i4q_finn_type(type, &fake->bits, &low, &high))
        fake->bits = 0;
    return type;
}

static bool read_quant(struct i4q_arena *arena, struct i4q_fake *fake)
{
    const struct i4q_origin *origin = i4q_origin_of_quant(arena, fake->node, true);
    if (!origin)
        return false;
    fake->bits = origin->bits;
    fake->flaw = origin->flaw;
    return true;
}

static bool describe(struct i4q_arena *arena, const struct i4q_node *node, size_t op, struct i4q_fake *fake)
{
    const struct i4q_value *tensor = i4q_finder_value(node, 0);
    *fake = (struct i4q_fake){
        .node = node, .tensor = tensor, .op = op, .is_activation = !tensor || !tensor->is_constant};
    return op == THRESHOLDS ? read_type(arena, fake) : read_quant(arena, fake);
}

bool i4q_fakes_find(struct i4q_model *model, struct i4q_fake **fakes, size_t *count, struct i4q_error *error)
{
    size_t most = 0, op;
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next)
        most += i4q_is_fake(node->proto);
    *count = 0;
    *fakes = i4q_arena_alloc(&model->arena, most, sizeof **fakes);
    if (!*fakes)
        return i4q_fail_memory(error);
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next)
        if (find_op(node->proto, &op) && !describe(&model->arena, node, op, &(*fakes)[(*count)++]))
            return i4q_fail_memory(error);
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/forms.h"

#include "forms/origin.h"
#include "forms/recognise.h"

#include <string.h>

const struct i4q_form *const i4q_forms[] = {
    &i4q_form_dq,    &i4q_form_dq_microsoft, &i4q_form_cast,  &i4q_form_packed,
    &i4q_form_nbits, &i4q_form_qonnx,        &i4q_form_fused, NULL,
};

static const char STANDARD[] = "ai.onnx";

/* As users call it. */
static const char *domain_of(const struct i4q_form *form)
{
    return form->domain ? form->domain : STANDARD;
}

const struct i4q_form *i4q_form_find(const char *word, const char *domain)
{
    for (const struct i4q_form *const *form = i4q_forms; *form; form++)
        if ((*form)->word && strcmp((*form)->word, word) == 0 &&
            (!domain || strcmp(domain_of(*form), domain) == 0))
            return *form;
    return NULL;
}

const char *i4q_form_word(size_t index)
{
    for (const struct i4q_form *const *form = i4q_forms; *form; form++)
        if ((*form)->word && i4q_form_find((*form)->word, NULL) == *form && index-- == 0)
            return (*form)->word;
    return NULL;
}

const char *i4q_form_dq_domain(size_t index)
{
    for (const struct i4q_form *const *form = i4q_forms; *form; form++)
        if ((*form)->word && strcmp((*form)->word, i4q_form_dq.word) == 0 && index-- == 0)
            return domain_of(*form);
    return NULL;
}

const struct i4q_form *i4q_form_choose(const struct i4q_form *wanted, const struct i4q_weight *weight,
                                       const struct i4q_quantize_job *job)
{
    const struct i4q_form *const *form = i4q_forms;
    if (wanted->holds(weight, job))
        return wanted;
    while (!(*form)->holds(weight, job)) /* each weight has one */
        form++;
    return *form;
}

bool i4q_form_is_begun_by(const struct i4q_node *node, bool is_operator)
{
    for (const struct i4q_form *const *form = i4q_forms; *form; form++)
        if ((*form)->is_operator == is_operator && (*form)->begins(node))
            return true;
    return false;
}

bool i4q_form_has_step(const Onnx__NodeProto *node)
{
    for (const struct i4q_form *const *form = i4q_forms; *form; form++)
        for (const char *const *step = (*form)->steps; step && *step; step++)
            if (i4q_node_is(node, *step))
                return true;
    return false;
}

/* ---- what a weight is stored as */

/* Whether some form begins with the node; the first that knows itself again describes it. Of any
 * other chain of nodes the kind of codes is all that can be told, where they are dequantized. */
static bool describe_begun(struct i4q_arena *arena, const struct i4q_conv *conv, const struct i4q_node *node,
                           struct i4q_storage *storage)
{
    struct i4q_storage told = {0};
    bool begun = false;
    for (const struct i4q_form *const *form = i4q_forms; *form; form++) {
        struct i4q_storage attempt = *storage;
        if ((*form)->is_operator != conv->op->integer || !(*form)->begins(node))
            continue;
        if ((*form)->recognise(arena, conv, &attempt)) {
            *storage = attempt;
            return true;
        }
        told = begun ? told : attempt;
        begun = true;
    }
    if (begun) {
        *storage = i4q_storage_unknown();
        storage->name = told.is_dequantize ? told.name : storage->name;
        storage->unsound = told.unsound;
        storage->bytes = told.bytes;
    }
    return begun;
}

/* An input of the operator itself; 0 is none. */
static const Onnx__TensorProto *operand(const struct i4q_conv *conv, size_t input)
{
    return input ? i4q_input_tensor(conv->node, input) : NULL;
}

/* Integers that the operator takes itself. */
static void describe_operand(const struct i4q_conv *conv, struct i4q_storage *storage)
{
    storage->is_dequantize = true;
    i4q_describe_integers(storage, conv->tensor, operand(conv, conv->op->scale_input),
                          operand(conv, conv->op->zero_input));
}

/* What stands for integers: the floats, or bytes, that are stored for it. */
static bool describe_origin(const struct i4q_origin *origin, struct i4q_storage *storage)
{
    if (!origin || origin->dialect == I4Q_DIALECT_INT8 || !origin->proto)
        return false;
    storage->origin = origin;
    storage->codes = origin->proto;
    storage->scale = origin->scale.proto;
    storage->zero_point = origin->zero.proto;
    storage->dims = origin->tensor.dims;
    storage->rank = origin->tensor.rank;
    storage->count = origin->tensor.count;
    storage->bytes = origin->tensor.bytes;
    i4q_storage_set_type(storage, origin->tensor.type);
    if (origin->scale.proto)
        storage->granularity = origin->scale.numbers.count == 1 ? I4Q_PER_TENSOR : I4Q_PER_CHANNEL;
    storage->axis = (int64_t)origin->axis;
    return true;
}

/* Of a weight that is not stored, its declared type may tell the kind. */
static void describe_declared(const struct i4q_conv *conv, struct i4q_storage *storage)
{
    const Onnx__TypeProto__Tensor *type = i4q_tensor_type(conv->weight->type);
    if (type)
        i4q_storage_set_type(storage, type->elem_type);
}

void i4q_storage_describe(struct i4q_arena *arena, const struct i4q_conv *conv, struct i4q_storage *storage)
{
    *storage = i4q_storage_unknown();
    if (describe_origin(conv->origin, storage))
        return;
    const struct i4q_node *first = conv->op->integer ? conv->node : conv->decoder;
    if (first && describe_begun(arena, conv, first, storage))
        return;
    if (conv->op->integer)
        describe_operand(conv, storage);
    else if (conv->source == I4Q_SOURCE_STORED)
        i4q_describe_integers(storage, conv->tensor, NULL, NULL);
    else if (conv->source != I4Q_SOURCE_DECODED)
        describe_declared(conv, storage);
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/convs.h"

#include "forms/forms.h"
#include "forms/origin_find.h"

#include <string.h>

/* Steps through nodes towards what is stored; a longer chain, or a cycle, counts as computed. */
enum { MAX_CHAIN = 64 };

/* The node that decodes the weight, up the chain of first operands; NULL when there is none: behind any
 * operator that no form has the weight is computed. */
static const struct i4q_node *find_decoder(const struct i4q_value *value)
{
    for (int i = 0; i < MAX_CHAIN && value && value->producer; i++, value = i4q_value_operand(value)) {
        if (value->producer->proto->n_output != 1) /* none of them has more */
            break;
        if (i4q_form_is_begun_by(value->producer, false))
            return value->producer;
        if (!i4q_moves_elements(value->producer->proto) && !i4q_form_has_step(value->producer->proto))
            break;
    }
    return NULL;
}

/* Whether the decoder reads integers that are stored, not activations that were quantized on the way. */
static bool decodes_stored(const struct i4q_conv *conv)
{
    const struct i4q_node *node = conv->decoder;
    const struct i4q_value *codes = node ? i4q_input_value(node, 0) : NULL;
    return codes && i4q_value_tensor(codes);
}

static bool is_recognised(const struct i4q_conv *conv)
{
    struct i4q_storage storage;
    struct i4q_arena scratch;
    i4q_arena_init(&scratch, SIZE_MAX);
    i4q_storage_describe(&scratch, conv, &storage);
    i4q_arena_free(&scratch);
    return storage.codes || storage.unsound;
}

/* What a DequantizeLinear makes, where the Conv reads it behind nodes that only move elements; or NULL. */
static struct i4q_value *dequantized_value(const struct i4q_conv *conv)
{
    bool dequantizes = strcmp(i4q_text(conv->decoder->proto->op_type), "DequantizeLinear") == 0;
    struct i4q_value *value = dequantizes ? i4q_value_behind_moves(conv->weight) : NULL;
    return value && value->producer == conv->decoder ? value : NULL;
}

/* The weight is then what is stored, as before a Transpose of it, which stays what it is; but where a form
 * has such nodes of its own. */
static void look_behind_moves(struct i4q_conv *conv)
{
    struct i4q_value *value = conv->decoder ? dequantized_value(conv) : NULL;
    if (!value || value == conv->weight || is_recognised(conv))
        return;
    int64_t axis = i4q_node_int(conv->decoder->proto, "axis", 1);
    conv->weight = value;
    conv->channel_axis = axis >= 0 ? (size_t)axis : conv->channel_axis;
}

bool i4q_convs_find(struct i4q_model *model, unsigned ops, unsigned ops_if_decoded, struct i4q_conv **convs,
                    size_t *count, struct i4q_error *error)
{
    struct i4q_table copies;
    size_t kept = 0;
    i4q_table_init(&copies, &model->arena);
    if (!i4q_layers_find(model, ops | ops_if_decoded, convs, count, error))
        return false;
    for (size_t i = 0; i < *count; i++) {
        struct i4q_conv *conv = &(*convs)[i];
        conv->decoder = conv->source == I4Q_SOURCE_COMPUTED ? find_decoder(conv->weight) : NULL;
        if (conv->decoder)
            conv->source = I4Q_SOURCE_DECODED;
        look_behind_moves(conv);
        if (!i4q_origin_find(&model->arena, &copies, conv, &conv->origin, error))
            return false;
        if (i4q_ops_have(ops, conv->op) || decodes_stored(conv) || conv->origin)
            (*convs)[kept++] = *conv;
    }
    *count = kept;
    return true;
}

bool i4q_is_decoded(const struct i4q_conv *conv)
{
    if (conv->source != I4Q_SOURCE_DECODED || !conv->weight->is_constant)
        return false;
    return dequantized_value(conv) || is_recognised(conv);
}

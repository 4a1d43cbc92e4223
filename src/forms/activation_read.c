// SPDX-License-Identifier: Apache-2.0
#include "forms/activation_read.h"

#include "forms/fakes.h"
#include "forms/nbits_node.h"
#include "forms/recognise.h"
#include "onnx/layers.h"

#include <math.h>
#include <string.h>

enum { MOST_BITS = 16 };

/* ---- nodes */

/* What is stored for an input, also behind Identity nodes. */
static const Onnx__TensorProto *stored_input(const struct i4q_node *node, size_t input)
{
    struct i4q_value *value = i4q_input_value(node, input);
    value = value ? i4q_value_behind_identities(value) : NULL;
    return value ? i4q_value_tensor(value) : NULL;
}

/* ---- codes */

/* All codes of the type of the zero point; UINT8 without one, unless output_dtype says another. */
static bool find_codes(struct i4q_activation_pair *pair)
{
    const struct i4q_node *node = pair->quantize;
    const Onnx__TensorProto *zero = stored_input(node, 2);
    int64_t type = i4q_node_int(node->proto, "output_dtype", 0);
    type = zero ? zero->data_type : type ? type : I4Q_TYPE(UINT8);
    pair->codes = i4q_dtype_find((int32_t)type);
    if ((i4q_has_input(node, 2) && !zero) || !pair->codes || !pair->codes->dequantize || !pair->codes->bits ||
        pair->codes->bits > MOST_BITS)
        return false;
    bool is_signed = pair->codes->kind == I4Q_DTYPE_SIGNED;
    pair->low = is_signed ? -(1 << (pair->codes->bits - 1)) : 0;
    pair->high = pair->low + (1 << pair->codes->bits) - 1;
    return is_signed || pair->codes->kind == I4Q_DTYPE_UNSIGNED;
}

/* One end of the codes that a node lets through; an input that is absent leaves them as they are. */
static bool clip_end(struct i4q_arena *arena, const struct i4q_node *clip, size_t input, bool is_low,
                     struct i4q_activation_pair *pair)
{
    struct i4q_error ignored = {0};
    struct i4q_numbers end;
    if (!i4q_has_input(clip, input))
        return true;
    if (!i4q_numbers_open(arena, stored_input(clip, input), &end, &ignored) || !end.type || end.count != 1 ||
        i4q_numbers_are_floats(&end))
        return false;
    int32_t code = (int32_t)i4q_number(&end, 0), *bound = is_low ? &pair->low : &pair->high;
    if (is_low ? code > *bound : code < *bound)
        *bound = code;
    return true;
}

static bool clip_codes(struct i4q_arena *arena, const struct i4q_node *clip, struct i4q_activation_pair *pair)
{
    if (i4q_node_is(clip->proto, "Clip"))
        return clip_end(arena, clip, 1, true, pair) && clip_end(arena, clip, 2, false, pair);
    return clip->proto->n_input == 2 && clip_end(arena, clip, 1, i4q_node_is(clip->proto, "Max"), pair);
}

static unsigned count_bits(int32_t codes)
{
    unsigned bits = 1;
    while (1 << bits < codes)
        bits++;
    return bits;
}

/* From DequantizeLinear back to QuantizeLinear. */
static bool find_nodes(struct i4q_activation_pair *pair)
{
    const struct i4q_node *back[I4Q_ACTIVATION_CLIPS + 1];
    const struct i4q_value *value = i4q_input_value(pair->dequantize, 0);
    size_t n = 0;
    while (value && value->producer && !value->is_constant && n <= I4Q_ACTIVATION_CLIPS) {
        const struct i4q_node *node = value->producer;
        if (i4q_is_linear(node, "QuantizeLinear")) {
            pair->quantize = node;
            break;
        }
        if (!i4q_node_is(node->proto, "Clip") && !i4q_node_is(node->proto, "Max") &&
            !i4q_node_is(node->proto, "Min"))
            return false;
        back[n++] = node;
        value = i4q_input_value(node, 0);
    }
    pair->n_clips = n;
    for (size_t i = 0; pair->quantize && i < n; i++)
        pair->clips[i] = back[n - 1 - i];
    return pair->quantize != NULL;
}

static bool read_codes(struct i4q_arena *arena, struct i4q_activation_pair *pair)
{
    if (!find_codes(pair))
        return false;
    for (size_t i = 0; i < pair->n_clips; i++)
        if (!clip_codes(arena, pair->clips[i], pair))
            return false;
    if (pair->low >= pair->high)
        return false;
    pair->bits = count_bits(pair->high - pair->low + 1);
    return true;
}

/* ---- scales */

/* Scale and zero point of one of the nodes. False: they are computed, or differ by more than channel. */
static bool open_side(struct i4q_arena *arena, const struct i4q_node *node, struct i4q_numbers *scale,
                      struct i4q_numbers *zero, struct i4q_activation_pair *pair)
{
    struct i4q_error found = {0};
    const Onnx__TensorProto *scale_proto = stored_input(node, 1), *zero_proto = stored_input(node, 2);
    if (!scale_proto || (i4q_has_input(node, 2) && !zero_proto) || scale_proto->n_dims > 1 ||
        i4q_node_int(node->proto, "block_size", 0))
        return false;
    if (!i4q_numbers_open(arena, scale_proto, scale, &found) ||
        !i4q_numbers_open(arena, zero_proto, zero, &found))
        pair->flaw = i4q_arena_format(arena, "%s", found.message);
    if (pair->flaw || !scale->type || !i4q_numbers_are_floats(scale))
        return pair->flaw;
    if (scale->count > 1) {
        pair->channels = scale->count;
        pair->axis = i4q_node_int(node->proto, "axis", 1);
    }
    return true;
}

static bool has_count(const struct i4q_numbers *numbers, size_t channels)
{
    return !numbers->type || numbers->count == 1 || numbers->count == channels;
}

static bool are_positive(const struct i4q_numbers *scale)
{
    for (size_t i = 0; i < scale->count; i++)
        if (!(i4q_number(scale, i) > 0) || !isfinite(i4q_number(scale, i)))
            return false;
    return true;
}

static const char *find_flaw(const struct i4q_activation_pair *pair)
{
    bool fit = has_count(&pair->scale, pair->channels) && has_count(&pair->zero_point, pair->channels) &&
               has_count(&pair->decoded_scale, pair->channels) &&
               has_count(&pair->decoded_zero_point, pair->channels);
    if (!fit)
        return "its scales and zero points differ in number";
    return are_positive(&pair->scale) && are_positive(&pair->decoded_scale)
               ? NULL
               : "a scale of it is not a positive number";
}

/* Zero points in a type that is not read (UINT16) are at least the same ones. */
static bool are_known(const struct i4q_activation_pair *pair)
{
    return pair->zero_point.type || stored_input(pair->quantize, 2) == stored_input(pair->dequantize, 2);
}

static bool read_scales(struct i4q_arena *arena, struct i4q_activation_pair *pair)
{
    if (!open_side(arena, pair->quantize, &pair->scale, &pair->zero_point, pair) ||
        !open_side(arena, pair->dequantize, &pair->decoded_scale, &pair->decoded_zero_point, pair) ||
        (pair->codes->bits == MOST_BITS && !are_known(pair)))
        return false;
    if (!pair->flaw)
        pair->flaw = find_flaw(pair);
    return true;
}

double i4q_activation_number(const struct i4q_numbers *numbers, size_t channel)
{
    return numbers->type ? i4q_number(numbers, numbers->count == 1 ? 0 : channel) : 0;
}

bool i4q_activation_is_plain(const struct i4q_activation_pair *pair)
{
    size_t n = pair->channels ? pair->channels : 1;
    for (size_t i = 0; i < n; i++) {
        double scale =
                   i4q_activation_number(&pair->scale, i) - i4q_activation_number(&pair->decoded_scale, i),
               zero = i4q_activation_number(&pair->zero_point, i) -
                      i4q_activation_number(&pair->decoded_zero_point, i);
        if (scale < 0 || scale > 0 || zero < 0 || zero > 0)
            return false;
    }
    return true;
}

/* ---- inside operators */

static bool copy_number(struct i4q_arena *arena, int32_t type, const void *number, size_t size,
                        struct i4q_numbers *numbers)
{
    void *copy = i4q_arena_alloc(arena, 1, size);
    if (!copy)
        return false;
    memcpy(copy, number, size);
    *numbers = (struct i4q_numbers){
        .type = i4q_dtype_find(type), .bits = 8 * (unsigned)size, .payload = {copy, size}, .count = 1};
    return true;
}

static const char *find_inside_flaw(const struct i4q_range *range)
{
    if (range->zero < 0)
        return "its input_zero_point is no code of 8 bits";
    return range->scale > 0 && isfinite(range->scale) ? NULL : "its input_scale is not a positive number";
}

/* False: for want of memory. */
static bool describe_inside(struct i4q_arena *arena, const struct i4q_node *node,
                            const struct i4q_range *range, struct i4q_activation_pair *pair)
{
    const uint8_t zero = (uint8_t)range->zero;
    *pair = (struct i4q_activation_pair){
        .is_inside = true,
        .tensor = i4q_input_value(node, 0),
        .result = i4q_input_value(node, 0),
        .quantize = node,
        .dequantize = node,
        .codes = i4q_dtype_find(I4Q_TYPE(UINT8)),
        .high = (1 << range->bits) - 1,
        .bits = range->bits,
        .flaw = find_inside_flaw(range),
    };
    bool ok = copy_number(arena, I4Q_TYPE(FLOAT), &range->scale, sizeof range->scale, &pair->scale) &&
              copy_number(arena, I4Q_TYPE(UINT8), &zero, sizeof zero, &pair->zero_point);
    pair->decoded_scale = pair->scale;
    pair->decoded_zero_point = pair->zero_point;
    return ok;
}

/* ---- all pairs */

struct search {
    struct i4q_model *model;
    struct i4q_table insides; /* "value|scale|zero point" of those that were found */
    struct i4q_activation_pair *pairs;
    size_t count;
};

/* False: for want of memory. */
static bool add_inside(struct search *search, const struct i4q_node *node)
{
    struct i4q_arena *arena = &search->model->arena;
    const struct i4q_value *value = i4q_input_value(node, 0);
    struct i4q_range range;
    if (!value || value->is_constant || !i4q_nbits_input_range(node, &range))
        return true;
    const char *key =
        i4q_arena_format(arena, "%u|%a|%d", (unsigned)value->index, (double)range.scale, range.zero);
    void **slot = key ? i4q_table_at(&search->insides, key) : NULL;
    if (!slot || *slot)
        return slot;
    struct i4q_activation_pair *pair = &search->pairs[search->count++];
    *slot = pair;
    return describe_inside(arena, node, &range, pair);
}

static bool read_pair(struct i4q_arena *arena, const struct i4q_node *node, struct i4q_activation_pair *pair)
{
    *pair = (struct i4q_activation_pair){.dequantize = node};
    if (!i4q_is_linear(node, "DequantizeLinear") || node->proto->n_output != 1 || !find_nodes(pair))
        return false;
    pair->tensor = i4q_input_value(pair->quantize, 0);
    pair->result = i4q_output_value(node, 0);
    return pair->tensor && pair->result && !pair->tensor->is_constant && read_codes(arena, pair) &&
           read_scales(arena, pair);
}

static size_t count_most(const struct i4q_model *model)
{
    size_t count = 0;
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next)
        count += i4q_is_linear(node, "DequantizeLinear") || i4q_nbits_is(node->proto);
    return count;
}

bool i4q_activations_find(struct i4q_model *model, struct i4q_activation_pair **pairs, size_t *count,
                          struct i4q_error *error)
{
    struct search search = {.model = model};
    search.pairs = i4q_arena_alloc(&model->arena, count_most(model), sizeof *search.pairs);
    i4q_table_init(&search.insides, &model->arena);
    if (!search.pairs)
        return i4q_fail_memory(error);
    for (const struct i4q_node *node = model->graph.nodes; node; node = node->next) {
        struct i4q_activation_pair pair;
        if (read_pair(&model->arena, node, &pair))
            search.pairs[search.count++] = pair;
        else if (!add_inside(&search, node))
            return i4q_fail_memory(error);
    }
    *pairs = search.pairs;
    *count = search.count;
    return true;
}

bool i4q_has_quantized_activations(const struct i4q_graph *graph)
{
    for (const struct i4q_node *node = graph->nodes; node; node = node->next) {
        const Onnx__NodeProto *proto = node->proto;
        struct i4q_range range;
        bool quantizes =
            i4q_is_fake(proto) || i4q_nbits_input_range(node, &range) || i4q_node_is(proto, "QuantizeLinear");
        const struct i4q_value *input = quantizes ? i4q_input_value(node, 0) : NULL;
        if (input && !input->is_constant)
            return true;
    }
    return false;
}

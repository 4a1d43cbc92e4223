// SPDX-License-Identifier: Apache-2.0
#include "forms/fake.h"

#include "forms/forms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, MOST_BITS = 32 };

/* ---- Quant */

static bool is_one_of(const char *text, const char *const *list)
{
    while (*list && strcmp(*list, text) != 0)
        list++;
    return *list != NULL;
}

bool i4q_is_quant(const Onnx__NodeProto *node)
{
    static const char *const domains[] = {"onnx.brevitas", "qonnx.custom_op.general",
                                          "finn.custom_op.general", NULL};
    static const char *const ops[] = {"Quant", "IntQuant", "BipolarQuant", NULL};
    return is_one_of(i4q_text(node->domain), domains) && is_one_of(i4q_text(node->op_type), ops);
}

/* Nodes that move elements and change none. */
static bool moves(const Onnx__NodeProto *node)
{
    static const char *const ops[] = {"Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", NULL};
    return i4q_is_standard_domain(node->domain) && is_one_of(i4q_text(node->op_type), ops) && node->n_input;
}

bool i4q_is_behind_quant(const struct i4q_conv *conv)
{
    const struct i4q_value *value = conv->weight;
    for (int i = 0; i < MAX_DEPTH && value && value->producer; i++) {
        const Onnx__NodeProto *node = value->producer->proto;
        if (i4q_is_quant(node))
            return true;
        if (!moves(node) || !node->n_input)
            return false;
        value = i4q_scope_resolve(value->producer->scope, node->input[0]);
    }
    return false;
}

/* ---- integers */

static bool is_recognised(const struct i4q_conv *conv)
{
    struct i4q_storage storage;
    struct i4q_arena scratch;
    i4q_arena_init(&scratch, SIZE_MAX);
    i4q_storage_describe(&scratch, conv, &storage);
    i4q_arena_free(&scratch);
    return storage.codes || storage.unsound;
}

bool i4q_is_decoded(const struct i4q_conv *conv)
{
    if (conv->source != I4Q_SOURCE_DECODED || !conv->weight->is_constant)
        return false;
    const struct i4q_node *node = conv->weight->producer;
    while (node && node != conv->decoder && moves(node->proto)) {
        const struct i4q_value *value = i4q_scope_resolve(node->scope, node->proto->input[0]);
        node = value ? value->producer : NULL;
    }
    bool dequantized = strcmp(i4q_text(conv->decoder->proto->op_type), "DequantizeLinear") == 0;
    return (dequantized && node == conv->decoder) || is_recognised(conv);
}

/* ---- FINN */

static const char *find_datatype(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_quantization_annotation; i++) {
        const Onnx__TensorAnnotation *annotation = graph->quantization_annotation[i];
        if (strcmp(i4q_text(annotation->tensor_name), name) != 0)
            continue;
        for (size_t k = 0; k < annotation->n_quant_parameter_tensor_names; k++)
            if (strcmp(i4q_text(annotation->quant_parameter_tensor_names[k]->key), "finn_datatype") == 0)
                return i4q_text(annotation->quant_parameter_tensor_names[k]->value);
    }
    return NULL;
}

/* The integers of a type: INT4, UINT4, BIPOLAR (-1, 1), TERNARY, BINARY. False: none of these. */
static bool get_range(const char *type, double *low, double *high)
{
    static const struct {
        const char *name;
        double low, high;
    } named[] = {{"BIPOLAR", -1, 1}, {"TERNARY", -1, 1}, {"BINARY", 0, 1}};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strcmp(type, named[i].name) == 0) {
            *low = named[i].low;
            *high = named[i].high;
            return true;
        }
    bool is_signed = strncmp(type, "INT", 3) == 0;
    const char *digits = is_signed ? type + 3 : strncmp(type, "UINT", 4) == 0 ? type + 4 : "";
    char *end;
    long bits = strtol(digits, &end, 10);
    if (!*digits || *end || bits < 1 || bits > MOST_BITS)
        return false;
    *high = ldexp(1, (int)bits - is_signed) - 1;
    *low = is_signed ? -*high - 1 : 0;
    return true;
}

bool i4q_is_finn_integer(const struct i4q_weight *weight)
{
    const Onnx__GraphProto *graph = weight->value->scope->graph;
    const char *type = graph ? find_datatype(graph, weight->value->name) : NULL;
    double low, high;
    if (!type || !get_range(type, &low, &high) || !i4q_weight_is_quantizable(weight))
        return false;
    for (size_t i = 0; i < weight->tensor.count; i++) {
        double element = (double)i4q_weight_element(weight, i);
        if (!(element >= low && element <= high) || element != rint(element))
            return false;
    }
    return true;
}

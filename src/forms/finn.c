// SPDX-License-Identifier: Apache-2.0
#include "forms/finn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BITS = 32 };

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

/* Types that are called by a name. */
static const struct {
    const char *name;
    unsigned bits;
    double low, high;
} named[] = {{"BIPOLAR", 1, -1, 1}, {"TERNARY", 2, -1, 1}, {"BINARY", 1, 0, 1}};

/* INT and UINT with their bits. */
static bool read_type(const char *type, unsigned *bits, double *low, double *high)
{
    bool is_signed = strncmp(type, "INT", 3) == 0;
    const char *digits = is_signed ? type + 3 : strncmp(type, "UINT", 4) == 0 ? type + 4 : "";
    char *end;
    long width = strtol(digits, &end, 10);
    if (!*digits || *end || width < 1 || width > MOST_BITS)
        return false;
    *bits = (unsigned)width;
    *high = ldexp(1, (int)width - is_signed) - 1;
    *low = is_signed ? -*high - 1 : 0;
    return true;
}

bool i4q_finn_type(const char *type, unsigned *bits, double *low, double *high)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strcmp(type, named[i].name) == 0) {
            *bits = named[i].bits;
            *low = named[i].low;
            *high = named[i].high;
            return true;
        }
    return read_type(type, bits, low, high);
}

bool i4q_finn_find(const struct i4q_value *value, unsigned *bits, double *low, double *high)
{
    const Onnx__GraphProto *graph = value->scope->graph;
    const char *type = graph ? find_datatype(graph, value->name) : NULL;
    return type && i4q_finn_type(type, bits, low, high);
}

// SPDX-License-Identifier: Apache-2.0
#include "forms/nbits_node.h"

#include "forms/recognise.h"
#include "onnx/dtype.h"

#include <string.h>

const char i4q_nbits_domain[] = "com.int4q", i4q_nbits_op[] = "ConvNBits";

bool i4q_nbits_is(const Onnx__NodeProto *node)
{
    return i4q_node_is_of(node, i4q_nbits_domain, i4q_nbits_op);
}

const struct i4q_format *i4q_nbits_stream(const struct i4q_node *node)
{
    enum { MISSING = 4 };
    const Onnx__TensorProto *codes = i4q_input_tensor(node, I4Q_NBITS_CODES);
    int64_t bits = i4q_node_int(node->proto, "bits", MISSING);
    bool bytes = codes && codes->data_type == I4Q_TYPE(UINT8) && codes->n_dims == 1;
    return bytes && bits > 0 && bits <= 8 ? i4q_format_packed((unsigned)bits) : NULL;
}

static bool read_ints(const Onnx__NodeProto *node, const char *name, size_t n, int64_t *out)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, name);
    if (!attribute || attribute->n_ints != n)
        return false;
    memcpy(out, attribute->ints, n * sizeof *out);
    return true;
}

static float float_attribute(const Onnx__NodeProto *node, const char *name)
{
    const Onnx__AttributeProto *attribute = i4q_node_attribute(node, name);
    return attribute ? attribute->f : 0;
}

bool i4q_nbits_read(const struct i4q_node *node, struct i4q_fusion *fusion)
{
    const Onnx__NodeProto *proto = node->proto;
    const Onnx__AttributeProto *shape = i4q_node_attribute(proto, "weight_shape"),
                               *group = i4q_node_attribute(proto, "group");
    int64_t activation = i4q_node_int(proto, "activation", 0);
    size_t dimensions = shape ? shape->n_ints - 2 : 0;
    *fusion = (struct i4q_fusion){.conv = node, .dimensions = dimensions, .group = group ? group->i : 1};
    if ((dimensions != 1 && dimensions != 2) || proto->n_output != 1 || activation < 0 ||
        activation >= I4Q_ACTIVATIONS)
        return false;
    fusion->activation = (enum i4q_activation)activation;
    fusion->alpha = float_attribute(proto, "alpha");
    fusion->beta = float_attribute(proto, "beta");
    fusion->output = proto->output[0];
    return read_ints(proto, "strides", dimensions, fusion->strides) &&
           read_ints(proto, "dilations", dimensions, fusion->dilations) &&
           read_ints(proto, "pads", 2 * dimensions, fusion->pads);
}

bool i4q_nbits_input_range(const struct i4q_node *node, struct i4q_range *range)
{
    enum { BITS = 8, TOP = 255, LEVEL = 4 };
    if (!i4q_nbits_is(node->proto) || !i4q_has_input(node, I4Q_NBITS_X) ||
        i4q_node_int(node->proto, "accuracy_level", 0) != LEVEL)
        return false;
    int64_t zero = i4q_node_int(node->proto, "input_zero_point", 0);
    *range = (struct i4q_range){.scale = float_attribute(node->proto, "input_scale"),
                                .zero = zero < 0 || zero > TOP ? -1 : (int)zero,
                                .bits = BITS};
    return range->scale < 0 || range->scale > 0 || range->scale != range->scale;
}

// SPDX-License-Identifier: Apache-2.0
#include "ort/node.h"

#include "base/checked.h"
#include "int4q/ort.h"
#include "quantize/format.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROW(field, kind_, missing_)                                                                          \
    {                                                                                                        \
        .name = #field, .kind = I4Q_ATTRIBUTE_##kind_, .offset = offsetof(struct i4q_node, field),           \
        .missing = (missing_)                                                                                \
    }

const struct i4q_attribute i4q_attributes[] = {
    ROW(weight_shape, INTS, 0),
    ROW(strides, INTS, 0),
    ROW(pads, INTS, 0),
    ROW(dilations, INTS, 0),
    ROW(group, INT, 1),
    ROW(bits, INT, 4),
    ROW(axis, INT, 0),
    ROW(block_size, INT, 0),
    ROW(accuracy_level, INT, 0),
    ROW(activation, INT, INT4Q_ORT_NONE),
    ROW(alpha, FLOAT, 0),
    ROW(beta, FLOAT, 0),
    ROW(input_scale, FLOAT, 0),
    ROW(input_zero_point, INT, 0),
    {.name = NULL},
};

enum { FLOAT_TYPE = 1, STREAM_TYPE = 2 }; /* TensorProto.FLOAT, UINT8 */

static const enum i4q_conv_function functions[] = {
    [INT4Q_ORT_NONE] = I4Q_CONV_NONE,
    [INT4Q_ORT_SILU] = I4Q_CONV_SILU,
    [INT4Q_ORT_RELU] = I4Q_CONV_RELU,
    [INT4Q_ORT_LEAKY_RELU] = I4Q_CONV_LEAKY_RELU,
    [INT4Q_ORT_HARD_SWISH] = I4Q_CONV_HARD_SWISH,
    [INT4Q_ORT_SIGMOID] = I4Q_CONV_SIGMOID,
    [INT4Q_ORT_CLIP] = I4Q_CONV_CLIP,
};

/* What `node` is about, and where the answers go. */
struct reading {
    const struct i4q_node *node;
    struct i4q_conv_spec *spec;
    size_t dimensions; /* of the space */
    size_t row;        /* weights of an output, K */
    size_t blocks;     /* of a row */
    struct i4q_error *error;
};

static bool in_range(const char *name, int64_t value, int64_t low, int64_t high, struct i4q_error *error)
{
    if (value >= low && value <= high)
        return true;
    return i4q_fail(error, I4Q_MODEL, "%s is %" PRId64 ", not %" PRId64 " to %" PRId64, name, value, low,
                    high);
}

/* A list of `count` integers of at least `low`. */
static bool check_list(const char *name, const struct i4q_node_ints *list, size_t count, int64_t low,
                       struct i4q_error *error)
{
    if (list->count != count)
        return i4q_fail(error, I4Q_MODEL, "%s has %zu elements, not %zu", name, list->count, count);
    for (size_t i = 0; i < count; i++)
        if (!in_range(name, list->values[i], low, INT32_MAX, error))
            return false;
    return true;
}

/* One number for each dimension of the space, which for the kernels are always two. */
static bool read_sizes(const struct reading *reading, const char *name, const struct i4q_node_ints *list,
                       size_t sizes[2])
{
    size_t first = 2 - reading->dimensions;
    sizes[0] = sizes[1] = 1;
    if (list->count == 0)
        return true;
    if (!check_list(name, list, reading->dimensions, 1, reading->error))
        return false;
    for (size_t i = first; i < 2; i++)
        sizes[i] = (size_t)list->values[i - first];
    return true;
}

static bool read_pads(const struct reading *reading, size_t pads[4])
{
    const struct i4q_node_ints *list = &reading->node->pads;
    size_t first = 2 - reading->dimensions;
    memset(pads, 0, 4 * sizeof *pads);
    if (list->count == 0)
        return true;
    if (!check_list("pads", list, 2 * reading->dimensions, 0, reading->error))
        return false;
    for (size_t i = first; i < 2; i++) {
        pads[i] = (size_t)list->values[i - first];
        pads[2 + i] = (size_t)list->values[reading->dimensions + i - first];
    }
    return true;
}

/* The sizes of the weight: outputs, channels a group, kernel. */
static bool read_weight_shape(struct reading *reading)
{
    const struct i4q_node_ints *list = &reading->node->weight_shape;
    struct i4q_conv_shape *shape = &reading->spec->shape;
    if (list->count != 3 && list->count != 4)
        return i4q_fail(reading->error, I4Q_MODEL, "weight_shape has %zu elements, not 3 or 4", list->count);
    reading->dimensions = list->count - 2;
    if (!check_list("weight_shape", list, list->count, 1, reading->error) ||
        !in_range("group", reading->node->group, 1, list->values[0], reading->error))
        return false;
    if (list->values[0] % reading->node->group != 0)
        return i4q_fail(reading->error, I4Q_MODEL,
                        "group is %" PRId64 ", which does not divide %" PRId64 " outputs",
                        reading->node->group, list->values[0]);
    shape->outputs = (size_t)list->values[0];
    shape->groups = (size_t)reading->node->group;
    shape->kernel[0] = list->count == 4 ? (size_t)list->values[2] : 1;
    shape->kernel[1] = (size_t)list->values[list->count - 1];
    if (!i4q_mul_size((size_t)list->values[1], shape->groups, &shape->channels) ||
        !i4q_mul_size((size_t)list->values[1], shape->kernel[0], &reading->row) ||
        !i4q_mul_size(reading->row, shape->kernel[1], &reading->row))
        return i4q_fail(reading->error, I4Q_MODEL, "weight_shape is too large");
    return true;
}

static bool read_shape(struct reading *reading)
{
    struct i4q_conv_shape *shape = &reading->spec->shape;
    return read_weight_shape(reading) &&
           read_sizes(reading, "strides", &reading->node->strides, shape->strides) &&
           read_sizes(reading, "dilations", &reading->node->dilations, shape->dilations) &&
           read_pads(reading, shape->pads);
}

/* `[1, 2, 3]`, cut where it is longer than `text`. */
static const char *shape_text(const int64_t *dims, size_t rank, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, i ? ", " : "", dims[i]);
    if (rank == 0)
        *text = '\0';
    return text;
}

static bool check_dims(const char *name, const struct i4q_node_tensor *tensor, const int64_t *dims,
                       size_t rank, struct i4q_error *error)
{
    char found[96], wanted[96];
    if (tensor->rank == rank && memcmp(tensor->dims, dims, rank * sizeof *dims) == 0)
        return true;
    shape_text(dims, rank, wanted, sizeof wanted);
    if (tensor->rank > I4Q_NODE_RANK)
        return i4q_fail(error, I4Q_MODEL, "%s has %zu dimensions, not the shape [%s]", name, tensor->rank,
                        wanted);
    shape_text(tensor->dims, tensor->rank, found, sizeof found);
    return i4q_fail(error, I4Q_MODEL, "%s has the shape [%s], not [%s]", name, found, wanted);
}

static bool check_type(const char *name, const struct i4q_node_tensor *tensor, int32_t type,
                       struct i4q_error *error)
{
    if (tensor->type == type)
        return true;
    return i4q_fail(error, I4Q_MODEL, "%s has the type %" PRId32 " of TensorProto, not %" PRId32, name,
                    tensor->type, type);
}

/* By axis 0 a row has one scale, and the weight its own shape; by axis 1 rows lie in a matrix, in blocks. */
static bool read_blocks(struct reading *reading)
{
    const struct i4q_node *node = reading->node;
    if (!in_range("axis", node->axis, 0, 1, reading->error) ||
        !in_range("block_size", node->block_size, node->axis, node->axis ? INT32_MAX : 0, reading->error))
        return false;
    reading->spec->weights.block_size = (size_t)node->block_size;
    reading->blocks = node->axis ? i4q_div_up(reading->row, (size_t)node->block_size) : 1;
    return true;
}

static const struct i4q_format *format_of(int32_t type)
{
    const struct i4q_format *format = i4q_formats;
    while (format->name && (format->type != type || !i4q_format_is_integers(format)))
        format++;
    return format->name ? format : NULL;
}

/* Codes of any width in bytes. */
static bool read_stream(struct reading *reading)
{
    enum { MOST_BYTES = INT32_MAX };
    const struct i4q_node *node = reading->node;
    struct i4q_conv_weights *weights = &reading->spec->weights;
    const struct i4q_format *format =
        node->bits > 0 && node->bits < 8 ? i4q_format_packed((unsigned)node->bits) : NULL;
    size_t count;
    if (!format)
        return i4q_fail(reading->error, I4Q_MODEL, "bits is %" PRId64 ", and in bytes W has 2 to 6",
                        node->bits);
    if (node->axis)
        return i4q_fail(reading->error, I4Q_MODEL, "axis is %" PRId64 ", and in bytes W has no blocks",
                        node->axis);
    if (!i4q_mul_size(reading->spec->shape.outputs, reading->row, &count) || count > MOST_BYTES)
        return i4q_fail(reading->error, I4Q_MODEL, "weight_shape is too large");
    const int64_t bytes = (int64_t)i4q_format_bytes(format, count);
    weights->bits = format->bits;
    weights->zero_bits = 8;
    weights->codes = node->weight.data;
    return check_dims("W", &node->weight, &bytes, 1, reading->error);
}

static bool read_codes(struct reading *reading)
{
    const struct i4q_node *node = reading->node;
    struct i4q_conv_weights *weights = &reading->spec->weights;
    const struct i4q_format *format = format_of(node->weight.type);
    const int64_t matrix[2] = {(int64_t)reading->spec->shape.outputs, (int64_t)reading->row};
    if (node->weight.type == STREAM_TYPE)
        return read_stream(reading);
    if (!format)
        return i4q_fail(reading->error, I4Q_MODEL,
                        "W has the type %" PRId32 " of TensorProto, none of weights", node->weight.type);
    if (node->bits != (int64_t)format->bits)
        return i4q_fail(reading->error, I4Q_MODEL, "bits is %" PRId64 ", and W is %s", node->bits,
                        format->name);
    if (!(node->axis ? check_dims("W", &node->weight, matrix, 2, reading->error)
                     : check_dims("W", &node->weight, node->weight_shape.values, node->weight_shape.count,
                                  reading->error)))
        return false;
    weights->bits = format->bits;
    weights->is_signed = format->code_min < 0;
    weights->codes = node->weight.data;
    return true;
}

static bool read_parameters(struct reading *reading)
{
    const struct i4q_node *node = reading->node;
    struct i4q_conv_weights *weights = &reading->spec->weights;
    const int64_t dims[2] = {(int64_t)reading->spec->shape.outputs, (int64_t)reading->blocks};
    size_t rank = node->axis ? 2 : 1;
    if (!check_type("scales", &node->scales, FLOAT_TYPE, reading->error) ||
        !check_dims("scales", &node->scales, dims, rank, reading->error))
        return false;
    if (node->zero_points.type &&
        (!check_type("zero_points", &node->zero_points, node->weight.type, reading->error) ||
         !check_dims("zero_points", &node->zero_points, dims, rank, reading->error)))
        return false;
    if (node->bias.type && (!check_type("B", &node->bias, FLOAT_TYPE, reading->error) ||
                            !check_dims("B", &node->bias, dims, 1, reading->error)))
        return false;
    weights->scales = node->scales.data;
    weights->zero_points = node->zero_points.data;
    weights->bias = node->bias.data;
    return true;
}

static bool read_activation(struct reading *reading)
{
    const struct i4q_node *node = reading->node;
    if (!in_range("activation", node->activation, INT4Q_ORT_NONE, INT4Q_ORT_CLIP, reading->error))
        return false;
    if (isnan(node->alpha) || isnan(node->beta))
        return i4q_fail(reading->error, I4Q_MODEL, "alpha or beta is not a number");
    reading->spec->activation = (struct i4q_conv_activation){.function = functions[node->activation],
                                                             .alpha = node->alpha,
                                                             .low = node->alpha,
                                                             .high = node->beta};
    return true;
}

static bool read_level(struct reading *reading)
{
    const struct i4q_node *node = reading->node;
    struct i4q_conv_spec *spec = reading->spec;
    if (!in_range("accuracy_level", node->accuracy_level, 0, 4, reading->error) ||
        !in_range("input_zero_point", node->input_zero_point, 0, UINT8_MAX, reading->error))
        return false;
    if (!(node->input_scale == 0 || isnormal(node->input_scale)) || node->input_scale < 0)
        return i4q_fail(reading->error, I4Q_MODEL, "input_scale is %g, not positive",
                        (double)node->input_scale);
    if (node->accuracy_level < 4)
        return true;
    spec->level = 4;
    spec->input_scale = node->input_scale;
    spec->input_zero = (uint8_t)node->input_zero_point;
    return true;
}

bool i4q_node_spec(const struct i4q_node *node, struct i4q_conv_spec *spec, size_t *dimensions,
                   struct i4q_error *error)
{
    struct reading reading = {.node = node, .spec = spec, .error = error};
    memset(spec, 0, sizeof *spec);
    bool fits = read_shape(&reading) && read_blocks(&reading) && read_codes(&reading) &&
                read_parameters(&reading) && read_activation(&reading) && read_level(&reading);
    *dimensions = reading.dimensions;
    return fits;
}

bool i4q_node_input(const struct i4q_conv_shape *shape, size_t dimensions, const int64_t *dims, size_t rank,
                    struct i4q_conv_input *input, struct i4q_error *error)
{
    if (rank != dimensions + 2)
        return i4q_fail(error, I4Q_MODEL, "X has %zu dimensions, not %zu", rank, dimensions + 2);
    if (dims[1] != (int64_t)shape->channels)
        return i4q_fail(error, I4Q_MODEL, "X has %" PRId64 " channels, not %zu", dims[1], shape->channels);
    input->images = (size_t)dims[0];
    input->height = dimensions == 2 ? (size_t)dims[2] : 1;
    input->width = (size_t)dims[rank - 1];
    return true;
}

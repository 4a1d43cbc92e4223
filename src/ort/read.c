// SPDX-License-Identifier: Apache-2.0
#include "ort/read.h"

#include <string.h>

/* ---- attributes: ONNX Runtime says of one that is missing and of one of another type alike that it cannot
 */

static bool has_int(const OrtApi *api, const OrtKernelInfo *info, const char *name, int64_t *value)
{
    return i4q_ort_succeeds(api, api->KernelInfoGetAttribute_int64(info, name, value));
}

static bool has_float(const OrtApi *api, const OrtKernelInfo *info, const char *name, float *value)
{
    return i4q_ort_succeeds(api, api->KernelInfoGetAttribute_float(info, name, value));
}

static bool has_ints(const OrtApi *api, const OrtKernelInfo *info, const char *name, size_t *count)
{
    return i4q_ort_succeeds(api, api->KernelInfoGetAttributeArray_int64(info, name, NULL, count));
}

/* A list of none is what an attribute of any type looks like. */
static bool has_another_type(const OrtApi *api, const OrtKernelInfo *info, const char *name)
{
    int64_t integer;
    float number;
    size_t count = 0, length = 0;
    return has_int(api, info, name, &integer) || has_float(api, info, name, &number) ||
           (has_ints(api, info, name, &count) && count > 0) ||
           (i4q_ort_succeeds(api, api->KernelInfoGetAttributeArray_float(info, name, NULL, &count)) &&
            count > 0) ||
           i4q_ort_succeeds(api, api->KernelInfoGetAttribute_string(info, name, NULL, &length));
}

static bool read_ints(const OrtApi *api, const OrtKernelInfo *info, const char *name,
                      struct i4q_node_ints *list)
{
    size_t count = 0;
    if (!has_ints(api, info, name, &count) || count == 0)
        return false;
    list->count = count;
    return count > I4Q_NODE_INTS ||
           i4q_ort_succeeds(api, api->KernelInfoGetAttributeArray_int64(info, name, list->values, &count));
}

static bool read_value(const OrtApi *api, const OrtKernelInfo *info, const struct i4q_attribute *row,
                       void *field)
{
    switch (row->kind) {
    case I4Q_ATTRIBUTE_INT:
        return has_int(api, info, row->name, field);
    case I4Q_ATTRIBUTE_FLOAT:
        return has_float(api, info, row->name, field);
    case I4Q_ATTRIBUTE_INTS:
        return read_ints(api, info, row->name, field);
    }
    return false;
}

static void set_missing(const struct i4q_attribute *row, void *field)
{
    if (row->kind == I4Q_ATTRIBUTE_INT)
        *(int64_t *)field = row->missing;
    else if (row->kind == I4Q_ATTRIBUTE_FLOAT)
        *(float *)field = (float)row->missing;
}

static bool read_attributes(const OrtApi *api, const OrtKernelInfo *info, struct i4q_node *node,
                            struct i4q_error *error)
{
    static const char *const types[] = {"an integer", "a float", "a list of integers"};
    for (const struct i4q_attribute *row = i4q_attributes; row->name; row++) {
        void *field = (char *)node + row->offset;
        if (read_value(api, info, row, field))
            continue;
        if (has_another_type(api, info, row->name))
            return i4q_fail(error, I4Q_MODEL, "%s is not %s", row->name, types[row->kind]);
        set_missing(row, field);
    }
    return true;
}

/* ---- inputs */

static bool read_shape(const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, int64_t dims[I4Q_NODE_RANK],
                       size_t *rank, struct i4q_error *error)
{
    return i4q_ort_ok(api, api->GetDimensionsCount(info, rank), error) &&
           (*rank > I4Q_NODE_RANK || i4q_ort_ok(api, api->GetDimensions(info, dims, *rank), error));
}

bool i4q_ort_read_tensor(const OrtApi *api, const OrtValue *value, struct i4q_node_tensor *tensor,
                         struct i4q_error *error)
{
    OrtTensorTypeAndShapeInfo *info;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    void *data = NULL;
    if (!i4q_ort_ok(api, api->GetTensorTypeAndShape(value, &info), error))
        return false;
    /* "Mutable", since there is no other way to ask. */
    bool read = i4q_ort_ok(api, api->GetTensorElementType(info, &type), error) &&
                read_shape(api, info, tensor->dims, &tensor->rank, error) &&
                i4q_ort_ok(api, api->GetTensorMutableData((OrtValue *)value, &data), error);
    api->ReleaseTensorTypeAndShapeInfo(info);
    tensor->type = (int32_t)type; /* the same numbers as in TensorProto */
    tensor->data = data;
    return read;
}

/* Whether the node has this input at all: one that is left out in the middle has no name. */
static bool find_input(const OrtApi *api, const OrtKernelInfo *info, size_t index, bool *there,
                       struct i4q_error *error)
{
    size_t count = 0, length = 0;
    if (!i4q_ort_ok(api, api->KernelInfo_GetInputCount(info, &count), error))
        return false;
    if (index < count && !i4q_ort_ok(api, api->KernelInfo_GetInputName(info, index, NULL, &length), error))
        return false;
    *there = length > 1; /* with its terminator */
    return true;
}

static bool read_constant(const OrtApi *api, const OrtKernelInfo *info, size_t index, const char *name,
                          struct i4q_node_tensor *tensor, struct i4q_error *error)
{
    bool there = false;
    int is_constant = 0;
    const OrtValue *value = NULL;
    if (!find_input(api, info, index, &there, error))
        return false;
    if (!there)
        return true;
    if (!i4q_ort_ok(api, api->KernelInfoGetConstantInput_tensor(info, index, &is_constant, &value), error))
        return false;
    if (!is_constant || !value)
        return i4q_fail(error, I4Q_MODEL, "%s is not an initializer of the same graph", name);
    return i4q_ort_read_tensor(api, value, tensor, error);
}

bool i4q_ort_read_node(const OrtApi *api, const OrtKernelInfo *info, struct i4q_node *node,
                       struct i4q_error *error)
{
    memset(node, 0, sizeof *node);
    return read_attributes(api, info, node, error) &&
           read_constant(api, info, I4Q_NODE_W, "W", &node->weight, error) &&
           read_constant(api, info, I4Q_NODE_SCALES, "scales", &node->scales, error) &&
           read_constant(api, info, I4Q_NODE_ZERO_POINTS, "zero_points", &node->zero_points, error) &&
           read_constant(api, info, I4Q_NODE_B, "B", &node->bias, error);
}

bool i4q_ort_read_input_shape(const OrtApi *api, const OrtKernelInfo *info, int64_t dims[I4Q_NODE_RANK],
                              size_t *rank, struct i4q_error *error)
{
    OrtTypeInfo *type;
    const OrtTensorTypeAndShapeInfo *tensor = NULL; /* of `type` */
    *rank = 0;
    if (!i4q_ort_ok(api, api->KernelInfo_GetInputTypeInfo(info, I4Q_NODE_X, &type), error))
        return false;
    bool read = i4q_ort_ok(api, api->CastTypeInfoToTensorInfo(type, &tensor), error) &&
                (!tensor || read_shape(api, tensor, dims, rank, error));
    api->ReleaseTypeInfo(type);
    return read;
}

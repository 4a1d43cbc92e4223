// SPDX-License-Identifier: Apache-2.0
#include "ort/infer.h"

#include "ort/node.h"
#include "ort/read.h"

#include <string.h>

/* A shape, where dimensions may have names instead of numbers. */
struct named_shape {
    size_t rank;
    int64_t dims[I4Q_NODE_RANK];
    const char *names[I4Q_NODE_RANK]; /* borrowed; "" where there is a number */
};

static bool read_x(const OrtApi *api, const OrtShapeInferContext *context, struct named_shape *shape)
{
    OrtTensorTypeAndShapeInfo *info = NULL; /* the context's */
    return i4q_ort_succeeds(api, api->ShapeInferContext_GetInputTypeShape(context, I4Q_NODE_X, &info)) &&
           info && i4q_ort_succeeds(api, api->GetDimensionsCount(info, &shape->rank)) &&
           (shape->rank == 3 || shape->rank == 4) &&
           i4q_ort_succeeds(api, api->GetDimensions(info, shape->dims, shape->rank)) &&
           i4q_ort_succeeds(api, api->GetSymbolicDimensions(info, shape->names, shape->rank));
}

/* A list of `count` integers; `missing` in each where the node does not have it. */
static bool read_list(const OrtApi *api, const OrtShapeInferContext *context, const char *name, size_t count,
                      int64_t missing, int64_t *values)
{
    const OrtOpAttr *attribute = NULL;
    size_t bytes = 0, wanted = count * sizeof *values;
    for (size_t i = 0; i < count; i++)
        values[i] = missing;
    if (!i4q_ort_succeeds(api, api->ShapeInferContext_GetAttribute(context, name, &attribute)) || !attribute)
        return true;
    return i4q_ort_succeeds(api, api->ReadOpAttr(attribute, ORT_OP_ATTR_INTS, values, wanted, &bytes)) &&
           bytes == wanted;
}

struct lists {
    int64_t weight[I4Q_NODE_RANK], strides[2], dilations[2], pads[4];
};

static bool read_lists(const OrtApi *api, const OrtShapeInferContext *context, size_t rank,
                       struct lists *lists)
{
    size_t dimensions = rank - 2;
    return read_list(api, context, "weight_shape", rank, 0, lists->weight) &&
           read_list(api, context, "strides", dimensions, 1, lists->strides) &&
           read_list(api, context, "dilations", dimensions, 1, lists->dilations) &&
           read_list(api, context, "pads", 2 * dimensions, 0, lists->pads);
}

static bool in_range(int64_t value, int64_t low)
{
    return value >= low && value <= INT32_MAX;
}

/* The size of Y along dimension i of the space; 0 where it cannot be told. */
static int64_t output_size(const struct named_shape *x, const struct lists *lists, size_t i)
{
    int64_t size = x->dims[2 + i], kernel = lists->weight[2 + i], stride = lists->strides[i];
    int64_t dilation = lists->dilations[i], before = lists->pads[i], after = lists->pads[x->rank - 2 + i];
    if (!in_range(size, 0) || !in_range(kernel, 1) || !in_range(stride, 1) || !in_range(dilation, 1) ||
        !in_range(before, 0) || !in_range(after, 0))
        return 0;
    int64_t last = size + before + after - (kernel - 1) * dilation - 1; /* where the last window may begin */
    return last < 0 ? 0 : last / stride + 1;
}

/* Y from X: as many images, or as they are called there. */
static bool find_shape(const struct named_shape *x, const struct lists *lists, struct named_shape *y)
{
    *y = *x;
    y->dims[1] = lists->weight[0];
    for (size_t i = 1; i < x->rank; i++)
        y->names[i] = "";
    for (size_t i = 2; i < x->rank; i++) {
        if (!in_range(y->dims[i] = output_size(x, lists, i - 2), 1))
            return false;
    }
    return in_range(y->dims[1], 1) && (in_range(y->dims[0], 0) || (y->names[0] && *y->names[0]));
}

static OrtStatus *set_shape(const OrtApi *api, OrtShapeInferContext *context, struct named_shape *y)
{
    OrtTensorTypeAndShapeInfo *info;
    OrtStatus *status = api->CreateTensorTypeAndShapeInfo(&info);
    if (status)
        return status;
    if (!(status = api->SetTensorElementType(info, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)) &&
        !(status = api->SetDimensions(info, y->dims, y->rank)) &&
        !(status = api->SetSymbolicDimensions(info, y->names, y->rank)))
        status = api->ShapeInferContext_SetOutputTypeShape(context, 0, info);
    api->ReleaseTensorTypeAndShapeInfo(info);
    return status;
}

OrtStatus *i4q_ort_infer(const OrtApi *api, OrtShapeInferContext *context)
{
    struct named_shape x = {0}, y;
    struct lists lists;
    if (!read_x(api, context, &x) || !read_lists(api, context, x.rank, &lists) || !find_shape(&x, &lists, &y))
        return NULL;
    return set_shape(api, context, &y);
}

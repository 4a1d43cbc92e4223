// SPDX-License-Identifier: Apache-2.0
#include "ort/fake_runtime.h"

#include "platform/threads.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct OrtStatus {
    OrtErrorCode code;
    char text[512];
};

struct OrtTensorTypeAndShapeInfo {
    struct OrtValue value;
    const char *names[FAKE_RANK];
};

struct OrtTypeInfo {
    struct OrtTensorTypeAndShapeInfo tensor;
};

size_t fake_calls_left = SIZE_MAX;
atomic_int fake_live;

static void *live(void *allocation)
{
    if (!allocation)
        abort();
    fake_live++;
    return allocation;
}

static void release(void *allocation)
{
    fake_live -= allocation != NULL;
    free(allocation);
}

static OrtStatus *create_status(OrtErrorCode code, const char *text)
{
    OrtStatus *status = live(calloc(1, sizeof *status));
    status->code = code;
    snprintf(status->text, sizeof status->text, "%s", text);
    return status;
}

static void release_status(OrtStatus *status)
{
    release(status);
}

static const char *get_error_message(const OrtStatus *status)
{
    return status->text;
}

static OrtErrorCode get_error_code(const OrtStatus *status)
{
    return status->code;
}

/* What each call below begins with: a failure, when it is this one's turn. */
static OrtStatus *turn(void)
{
    if (fake_calls_left == SIZE_MAX || fake_calls_left-- > 0)
        return NULL;
    fake_calls_left = SIZE_MAX;
    return create_status(ORT_FAIL, "a call that was told to fail");
}

#define TURN                                                                                                 \
    do {                                                                                                     \
        OrtStatus *failure = turn();                                                                         \
        if (failure)                                                                                         \
            return failure;                                                                                  \
    } while (0)

static OrtStatus *missing(void)
{
    return create_status(ORT_FAIL, "there is no such thing");
}

/* ---- a node */

static const struct OrtOpAttr *find(const OrtKernelInfo *info, const char *name)
{
    for (size_t i = 0; i < FAKE_ATTRIBUTES; i++)
        if (info->attributes[i].name && strcmp(info->attributes[i].name, name) == 0)
            return &info->attributes[i];
    return NULL;
}

static OrtStatus *get_int(const OrtKernelInfo *info, const char *name, int64_t *value)
{
    const struct OrtOpAttr *found = find(info, name);
    TURN;
    if (!found || found->type != ORT_OP_ATTR_INT)
        return missing();
    *value = found->ints[0];
    return NULL;
}

static OrtStatus *get_float(const OrtKernelInfo *info, const char *name, float *value)
{
    const struct OrtOpAttr *found = find(info, name);
    TURN;
    if (!found || found->type != ORT_OP_ATTR_FLOAT)
        return missing();
    *value = found->number;
    return NULL;
}

static OrtStatus *get_string(const OrtKernelInfo *info, const char *name, char *text, size_t *size)
{
    TURN;
    return missing();
}

static OrtStatus *get_floats(const OrtKernelInfo *info, const char *name, float *values, size_t *count)
{
    TURN;
    *count = 0;
    return find(info, name) ? NULL : missing();
}

static OrtStatus *get_ints(const OrtKernelInfo *info, const char *name, int64_t *values, size_t *count)
{
    const struct OrtOpAttr *found = find(info, name);
    TURN;
    if (!found)
        return missing();
    *count = found->type == ORT_OP_ATTR_INTS ? found->count : 0;
    if (values)
        memcpy(values, found->ints, *count * sizeof *values);
    return NULL;
}

static OrtStatus *get_input_count(const OrtKernelInfo *info, size_t *count)
{
    TURN;
    *count = FAKE_INPUTS;
    return NULL;
}

static OrtStatus *get_input_name(const OrtKernelInfo *info, size_t index, char *name, size_t *size)
{
    TURN;
    *size = info->inputs[index].type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED ? 1 : 2;
    return NULL;
}

static OrtStatus *get_node_name(const OrtKernelInfo *info, char *name, size_t *size)
{
    TURN;
    snprintf(name, *size, "node");
    return NULL;
}

static OrtStatus *get_constant(const OrtKernelInfo *info, size_t index, int *is_constant,
                               const OrtValue **value)
{
    TURN;
    *is_constant = info->inputs[index].data != NULL;
    *value = *is_constant ? &info->inputs[index] : NULL;
    return NULL;
}

static OrtStatus *get_input_type(const OrtKernelInfo *info, size_t index, OrtTypeInfo **type)
{
    TURN;
    *type = live(calloc(1, sizeof **type));
    (*type)->tensor.value = info->inputs[index];
    return NULL;
}

static OrtStatus *cast_type(const OrtTypeInfo *type, const OrtTensorTypeAndShapeInfo **tensor)
{
    TURN;
    *tensor = &type->tensor;
    return NULL;
}

static void release_type(OrtTypeInfo *type)
{
    release(type);
}

/* ---- tensors */

static OrtStatus *get_type_and_shape(const OrtValue *value, OrtTensorTypeAndShapeInfo **info)
{
    TURN;
    *info = live(calloc(1, sizeof **info));
    (*info)->value = *value;
    return NULL;
}

static void release_info(OrtTensorTypeAndShapeInfo *info)
{
    release(info);
}

static OrtStatus *get_element_type(const OrtTensorTypeAndShapeInfo *info, ONNXTensorElementDataType *type)
{
    TURN;
    *type = info->value.type;
    return NULL;
}

static OrtStatus *get_rank(const OrtTensorTypeAndShapeInfo *info, size_t *rank)
{
    TURN;
    *rank = info->value.rank;
    return NULL;
}

static OrtStatus *get_dims(const OrtTensorTypeAndShapeInfo *info, int64_t *dims, size_t rank)
{
    TURN;
    memcpy(dims, info->value.dims, rank * sizeof *dims);
    return NULL;
}

static OrtStatus *get_names(const OrtTensorTypeAndShapeInfo *info, const char **names, size_t rank)
{
    TURN;
    memcpy(names, info->names, rank * sizeof *names);
    return NULL;
}

static OrtStatus *get_data(OrtValue *value, void **data)
{
    TURN;
    *data = value->data;
    return NULL;
}

static OrtStatus *get_memory_info(const OrtValue *value, const OrtMemoryInfo **info)
{
    TURN;
    *info = NULL;
    return NULL;
}

/* ---- a run */

static OrtStatus *get_input(const OrtKernelContext *context, size_t index, const OrtValue **value)
{
    TURN;
    *value = &context->inputs[index];
    return NULL;
}

static OrtStatus *get_output(OrtKernelContext *context, size_t index, const int64_t *dims, size_t rank,
                             OrtValue **value)
{
    TURN;
    context->output.rank = rank;
    memcpy(context->output.dims, dims, rank * sizeof *dims);
    *value = &context->output;
    return NULL;
}

static OrtStatus *get_allocator(const OrtKernelContext *context, const OrtMemoryInfo *info,
                                OrtAllocator **allocator)
{
    TURN;
    *allocator = live(calloc(1, sizeof **allocator));
    return NULL;
}

static void release_allocator(OrtAllocator *allocator)
{
    release(allocator);
}

static OrtStatus *allocate(OrtAllocator *allocator, size_t bytes, void **memory)
{
    TURN;
    *memory = live(malloc(bytes));
    memset(*memory, 0xa5, bytes);
    return NULL;
}

static OrtStatus *deallocate(OrtAllocator *allocator, void *memory)
{
    release(memory); /* also where it says that it has failed */
    TURN;
    return NULL;
}

static OrtStatus *parallel_for(const OrtKernelContext *context, void (*chunk)(void *, size_t), size_t count,
                               size_t batches, void *data)
{
    TURN;
    i4q_parallel_for(3, count, chunk, data);
    return NULL;
}

/* ---- inference of shapes */

static OrtStatus *infer_input(const OrtShapeInferContext *context, size_t index,
                              OrtTensorTypeAndShapeInfo **info)
{
    static _Thread_local struct OrtTensorTypeAndShapeInfo borrowed;
    TURN;
    borrowed.value = context->node->inputs[index];
    memcpy(borrowed.names, context->names, sizeof borrowed.names);
    *info = &borrowed;
    return NULL;
}

static OrtStatus *infer_attribute(const OrtShapeInferContext *context, const char *name,
                                  const OrtOpAttr **attribute)
{
    TURN;
    *attribute = find(context->node, name);
    return *attribute ? NULL : missing();
}

static OrtStatus *read_attribute(const OrtOpAttr *attribute, OrtOpAttrType type, void *data, size_t bytes,
                                 size_t *length)
{
    TURN;
    *length = attribute->count * sizeof *attribute->ints;
    if (attribute->type != type || *length > bytes)
        return missing();
    memcpy(data, attribute->ints, *length);
    return NULL;
}

static OrtStatus *create_info(OrtTensorTypeAndShapeInfo **info)
{
    TURN;
    *info = live(calloc(1, sizeof **info));
    return NULL;
}

static OrtStatus *set_type(OrtTensorTypeAndShapeInfo *info, ONNXTensorElementDataType type)
{
    TURN;
    info->value.type = type;
    return NULL;
}

static OrtStatus *set_dims(OrtTensorTypeAndShapeInfo *info, const int64_t *dims, size_t rank)
{
    TURN;
    info->value.rank = rank;
    memcpy(info->value.dims, dims, rank * sizeof *dims);
    return NULL;
}

static OrtStatus *set_names(OrtTensorTypeAndShapeInfo *info, const char **names, size_t rank)
{
    TURN;
    memcpy(info->names, names, rank * sizeof *names);
    return NULL;
}

static OrtStatus *infer_output(const OrtShapeInferContext *context, size_t index,
                               const OrtTensorTypeAndShapeInfo *info)
{
    OrtShapeInferContext *found = (OrtShapeInferContext *)context;
    TURN;
    found->output = info->value;
    memcpy(found->output_names, info->names, sizeof found->output_names);
    return NULL;
}

/* ---- registration */

static OrtStatus *create_domain(const char *name, OrtCustomOpDomain **domain)
{
    TURN;
    *domain = calloc(1, sizeof **domain); /* not counted: they stay */
    return *domain ? NULL : missing();
}

static void release_domain(OrtCustomOpDomain *domain)
{
    free(domain);
}

static OrtStatus *add_operator(OrtCustomOpDomain *domain, const OrtCustomOp *op)
{
    TURN;
    domain->operators[domain->count++] = op;
    return NULL;
}

static OrtStatus *add_domain(OrtSessionOptions *options, OrtCustomOpDomain *domain)
{
    TURN;
    options->domain = domain;
    return NULL;
}

static const OrtApi api = {
    .CreateStatus = create_status,
    .ReleaseStatus = release_status,
    .GetErrorMessage = get_error_message,
    .GetErrorCode = get_error_code,
    .KernelInfoGetAttribute_int64 = get_int,
    .KernelInfoGetAttribute_float = get_float,
    .KernelInfoGetAttribute_string = get_string,
    .KernelInfoGetAttributeArray_int64 = get_ints,
    .KernelInfoGetAttributeArray_float = get_floats,
    .KernelInfo_GetInputCount = get_input_count,
    .KernelInfo_GetInputName = get_input_name,
    .KernelInfo_GetNodeName = get_node_name,
    .KernelInfoGetConstantInput_tensor = get_constant,
    .KernelInfo_GetInputTypeInfo = get_input_type,
    .CastTypeInfoToTensorInfo = cast_type,
    .ReleaseTypeInfo = release_type,
    .GetTensorTypeAndShape = get_type_and_shape,
    .ReleaseTensorTypeAndShapeInfo = release_info,
    .GetTensorElementType = get_element_type,
    .GetDimensionsCount = get_rank,
    .GetDimensions = get_dims,
    .GetSymbolicDimensions = get_names,
    .GetTensorMutableData = get_data,
    .GetTensorMemoryInfo = get_memory_info,
    .KernelContext_GetInput = get_input,
    .KernelContext_GetOutput = get_output,
    .KernelContext_GetAllocator = get_allocator,
    .ReleaseAllocator = release_allocator,
    .AllocatorAlloc = allocate,
    .AllocatorFree = deallocate,
    .KernelContext_ParallelFor = parallel_for,
    .ShapeInferContext_GetInputTypeShape = infer_input,
    .ShapeInferContext_GetAttribute = infer_attribute,
    .ShapeInferContext_SetOutputTypeShape = infer_output,
    .ReadOpAttr = read_attribute,
    .CreateTensorTypeAndShapeInfo = create_info,
    .SetTensorElementType = set_type,
    .SetDimensions = set_dims,
    .SetSymbolicDimensions = set_names,
    .CreateCustomOpDomain = create_domain,
    .ReleaseCustomOpDomain = release_domain,
    .CustomOpDomain_Add = add_operator,
    .AddCustomOpDomain = add_domain,
};

static const OrtApi *get_api(uint32_t version)
{
    return version <= 19 ? &api : NULL;
}

static const OrtApi *get_no_api(uint32_t version)
{
    return NULL;
}

static const char *get_version(void)
{
    return "1.24.0";
}

static const char *get_old_version(void)
{
    return "1.19.2";
}

const OrtApiBase fake_runtime = {get_api, get_version};
const OrtApiBase fake_old_runtime = {get_api, get_old_version};
const OrtApiBase fake_ancient_runtime = {get_no_api, get_old_version};

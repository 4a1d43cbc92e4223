// SPDX-License-Identifier: Apache-2.0
#include "int4q/ort.h"

#include "ort/calls.h"
#include "ort/infer.h"
#include "ort/kernel.h"
#include "ort/read.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* One a type of W: older versions refuse an INT4 tensor where any type would be allowed. */
static const ONNXTensorElementDataType weight_types[] = {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8};
enum { OPERATORS = sizeof weight_types / sizeof *weight_types, SAFE_TO_INFER = 24 /* 1.24 */ };

struct operator
{
    OrtCustomOp custom; /* first: what ONNX Runtime hands back */
    ONNXTensorElementDataType weight_type;
    const OrtApi *api;
};

/* One ONNX Runtime; a process may have several. */
struct registration {
    const OrtApiBase *base;
    OrtCustomOpDomain *domain;
    struct operator operators[OPERATORS];
    struct registration *next;
};

/* They stay as long as the library: sessions refer to them. */
static _Atomic(struct registration *) registrations;

static const char *get_name(const OrtCustomOp *op)
{
    return INT4Q_ORT_OP;
}

static const char *get_provider(const OrtCustomOp *op)
{
    return NULL; /* the CPU's */
}

static size_t get_input_count(const OrtCustomOp *op)
{
    return I4Q_NODE_INPUTS;
}

static ONNXTensorElementDataType get_input_type(const OrtCustomOp *op, size_t index)
{
    bool codes = index == I4Q_NODE_W || index == I4Q_NODE_ZERO_POINTS;
    return codes ? ((const struct operator*)op)->weight_type : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

static OrtCustomOpInputOutputCharacteristic get_input_characteristic(const OrtCustomOp *op, size_t index)
{
    bool optional = index == I4Q_NODE_ZERO_POINTS || index == I4Q_NODE_B;
    return optional ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}

static OrtMemType get_input_memory(const OrtCustomOp *op, size_t index)
{
    return OrtMemTypeDefault;
}

static size_t get_output_count(const OrtCustomOp *op)
{
    return 1;
}

static ONNXTensorElementDataType get_output_type(const OrtCustomOp *op, size_t index)
{
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

static OrtCustomOpInputOutputCharacteristic get_output_characteristic(const OrtCustomOp *op, size_t index)
{
    return INPUT_OUTPUT_REQUIRED;
}

static OrtStatus *infer(const OrtCustomOp *op, OrtShapeInferContext *context)
{
    return i4q_ort_infer(((const struct operator*)op)->api, context);
}

static int get_version(const OrtCustomOp *op)
{
    return INT4Q_ORT_VERSION;
}

static const OrtCustomOp custom = {
    .version = I4Q_ORT_API,
    .GetName = get_name,
    .GetExecutionProviderType = get_provider,
    .GetInputTypeCount = get_input_count,
    .GetInputType = get_input_type,
    .GetInputCharacteristic = get_input_characteristic,
    .GetInputMemoryType = get_input_memory,
    .GetOutputTypeCount = get_output_count,
    .GetOutputType = get_output_type,
    .GetOutputCharacteristic = get_output_characteristic,
    .GetStartVersion = get_version,
    .GetEndVersion = get_version,
    .CreateKernelV2 = i4q_ort_kernel_create,
    .KernelComputeV2 = i4q_ort_kernel_compute,
    .KernelDestroy = i4q_ort_kernel_destroy,
};

/* Older versions follow a null pointer while they infer the shape of a node with an input that is left out.
 */
static bool can_infer(const OrtApiBase *base)
{
    int major = 0, minor = 0;
    return sscanf(base->GetVersionString(), "%d.%d", &major, &minor) == 2 &&
           (major > 1 || minor >= SAFE_TO_INFER);
}

static OrtStatus *fill_domain(const OrtApi *api, struct registration *registration)
{
    bool infers = can_infer(registration->base);
    OrtStatus *status = api->CreateCustomOpDomain(INT4Q_ORT_DOMAIN, &registration->domain);
    for (size_t i = 0; i < OPERATORS && !status; i++) {
        registration->operators[i] = (struct operator){custom, weight_types[i], api};
        registration->operators[i].custom.InferOutputShapeFn = infers ? infer : NULL;
        status = api->CustomOpDomain_Add(registration->domain, &registration->operators[i].custom);
    }
    return status;
}

/* NULL with a status. Two threads may both make one for the same ONNX Runtime: either serves. */
static struct registration *make_registration(const OrtApi *api, const OrtApiBase *base, OrtStatus **status)
{
    struct registration *registration = calloc(1, sizeof *registration);
    if (!registration) {
        *status = api->CreateStatus(ORT_FAIL, INT4Q_ORT_OP ": out of memory");
        return NULL;
    }
    registration->base = base;
    *status = fill_domain(api, registration);
    if (*status) {
        api->ReleaseCustomOpDomain(registration->domain);
        free(registration);
        return NULL;
    }
    registration->next = atomic_load(&registrations);
    while (!atomic_compare_exchange_weak(&registrations, &registration->next, registration))
        ;
    return registration;
}

static struct registration *find_registration(const OrtApiBase *base)
{
    struct registration *found = atomic_load(&registrations);
    while (found && found->base != base)
        found = found->next;
    return found;
}

__attribute__((visibility("default"))) OrtStatus *RegisterCustomOps(OrtSessionOptions *options,
                                                                    const OrtApiBase *base)
{
    const OrtApi *api = base->GetApi(I4Q_ORT_API);
    OrtStatus *status = NULL;
    if (!api)
        return NULL;
    struct registration *found = find_registration(base);
    if (!found)
        found = make_registration(api, base, &status);
    return found ? api->AddCustomOpDomain(options, found->domain) : status;
}

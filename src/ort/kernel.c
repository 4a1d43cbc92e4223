// SPDX-License-Identifier: Apache-2.0
#include "ort/kernel.h"

#include "ort/read.h"
#include "platform/threads.h"

#include <stdlib.h>
#include <string.h>

struct kernel {
    const OrtApi *api;
    struct i4q_conv *conv;
    struct i4q_conv_shape shape;
    size_t dimensions; /* of the space */
    size_t workers;
    char name[128]; /* of the node, cut */
};

/* ---- made once */

/* The name of the node; what cannot be had, or is too long, is left empty. */
static void read_name(const OrtApi *api, const OrtKernelInfo *info, char *name, size_t size)
{
    if (!i4q_ort_succeeds(api, api->KernelInfo_GetNodeName(info, name, &size)))
        *name = '\0';
}

/* As far as the shape of X is known, it fits. */
static bool check_input(const struct kernel *kernel, const OrtKernelInfo *info, struct i4q_error *error)
{
    int64_t dims[I4Q_NODE_RANK] = {0};
    size_t rank = 0, output[2];
    struct i4q_conv_input input = {0};
    if (!i4q_ort_read_input_shape(kernel->api, info, dims, &rank, error))
        return false;
    if (rank == 0 || (rank == kernel->dimensions + 2 && dims[1] < 0))
        return true;
    if (!i4q_node_input(&kernel->shape, kernel->dimensions, dims, rank, &input, error))
        return false;
    for (size_t i = 2; i < rank; i++)
        if (dims[i] <= 0)
            return true;
    return i4q_conv_output(kernel->conv, input.height, input.width, output, error);
}

static bool prepare(struct kernel *kernel, const OrtKernelInfo *info, struct i4q_error *error)
{
    struct i4q_node node;
    struct i4q_conv_spec spec;
    const struct i4q_conv_kernels *set = i4q_conv_choose(getenv("INT4Q_CPU"), error);
    if (!set || !i4q_ort_read_node(kernel->api, info, &node, error) ||
        !i4q_node_spec(&node, &spec, &kernel->dimensions, error))
        return false;
    kernel->conv = i4q_conv_prepare(&spec, set, error);
    kernel->shape = spec.shape;
    kernel->workers = i4q_processors();
    return kernel->conv && check_input(kernel, info, error);
}

OrtStatus *i4q_ort_kernel_create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                                 void **made)
{
    struct i4q_error error = {0};
    char name[sizeof((struct kernel *)0)->name];
    struct kernel *kernel = calloc(1, sizeof *kernel);
    *made = NULL;
    read_name(api, info, name, sizeof name);
    if (!kernel) {
        i4q_fail_memory(&error);
        return i4q_ort_status(api, name, &error);
    }
    kernel->api = api;
    memcpy(kernel->name, name, sizeof name);
    if (!prepare(kernel, info, &error)) {
        i4q_ort_kernel_destroy(kernel);
        return i4q_ort_status(api, name, &error);
    }
    *made = kernel;
    return NULL;
}

void i4q_ort_kernel_destroy(void *made)
{
    struct kernel *kernel = made;
    if (kernel)
        i4q_conv_free(kernel->conv);
    free(kernel);
}

/* ---- run often */

struct run {
    const struct kernel *kernel;
    OrtKernelContext *context;
    struct i4q_conv_input input;
    size_t output[2]; /* height, width */
    float *y;
    struct i4q_error *error;
};

static bool read_inputs(struct run *run, const OrtMemoryInfo **memory)
{
    const struct kernel *kernel = run->kernel;
    const OrtApi *api = kernel->api;
    const OrtValue *x = NULL, *w = NULL;
    struct i4q_node_tensor tensor;
    void *codes = NULL;
    if (!i4q_ort_ok(api, api->KernelContext_GetInput(run->context, I4Q_NODE_X, &x), run->error) ||
        !i4q_ort_ok(api, api->KernelContext_GetInput(run->context, I4Q_NODE_W, &w), run->error) ||
        !i4q_ort_read_tensor(api, x, &tensor, run->error) ||
        !i4q_ort_ok(api, api->GetTensorMutableData((OrtValue *)w, &codes), run->error) ||
        !i4q_ort_ok(api, api->GetTensorMemoryInfo(x, memory), run->error))
        return false;
    run->input.x = tensor.data;
    run->input.codes = codes;
    return i4q_node_input(&kernel->shape, kernel->dimensions, tensor.dims, tensor.rank, &run->input,
                          run->error) &&
           i4q_conv_output(kernel->conv, run->input.height, run->input.width, run->output, run->error);
}

static bool make_output(struct run *run)
{
    const struct kernel *kernel = run->kernel;
    const OrtApi *api = kernel->api;
    int64_t dims[I4Q_NODE_RANK] = {(int64_t)run->input.images, (int64_t)kernel->shape.outputs,
                                   (int64_t)run->output[0], (int64_t)run->output[1]};
    OrtValue *value = NULL;
    void *data = NULL;
    if (kernel->dimensions == 1)
        dims[2] = dims[3];
    if (!i4q_ort_ok(api, api->KernelContext_GetOutput(run->context, 0, dims, kernel->dimensions + 2, &value),
                    run->error) ||
        !i4q_ort_ok(api, api->GetTensorMutableData(value, &data), run->error))
        return false;
    run->y = data;
    return true;
}

/* Chunks on the threads of the session; where it cannot, here. */
static void run_chunks(void *pool, size_t count, i4q_chunk_fn *chunk, void *context)
{
    const struct run *run = pool;
    const OrtApi *api = run->kernel->api;
    if (!i4q_ort_succeeds(api, api->KernelContext_ParallelFor(run->context, chunk, count, 0, context)))
        for (size_t i = 0; i < count; i++)
            chunk(context, i);
}

static bool compute(struct run *run, OrtAllocator *allocator)
{
    const struct kernel *kernel = run->kernel;
    const OrtApi *api = kernel->api;
    const struct i4q_conv_workers workers = {kernel->workers, run_chunks, run};
    size_t bytes = i4q_conv_scratch(kernel->conv, &run->input, workers.workers);
    void *scratch = NULL;
    if (bytes == SIZE_MAX)
        return i4q_fail(run->error, I4Q_MODEL, "X is too large");
    if (!i4q_ort_ok(api, api->AllocatorAlloc(allocator, bytes, &scratch), run->error))
        return false;
    i4q_conv_run(kernel->conv, &run->input, run->y, scratch, &workers);
    return i4q_ort_ok(api, api->AllocatorFree(allocator, scratch), run->error);
}

static bool is_empty(const struct run *run)
{
    return run->input.images == 0 || run->output[0] == 0 || run->output[1] == 0;
}

OrtStatus *i4q_ort_kernel_compute(void *made, OrtKernelContext *context)
{
    const struct kernel *kernel = made;
    const OrtApi *api = kernel->api;
    struct i4q_error error = {0};
    struct run run = {.kernel = kernel, .context = context, .error = &error};
    const OrtMemoryInfo *memory = NULL;
    OrtAllocator *allocator = NULL;
    if (!read_inputs(&run, &memory) || !make_output(&run) || is_empty(&run) ||
        !i4q_ort_ok(api, api->KernelContext_GetAllocator(context, memory, &allocator), &error))
        return i4q_ort_status(api, kernel->name, &error);
    (void)!compute(&run, allocator);
    api->ReleaseAllocator(allocator);
    return i4q_ort_status(api, kernel->name, &error);
}

// SPDX-License-Identifier: Apache-2.0
/* The operator as a runtime sees it: registration, kernels, runs, shapes; and what it makes of calls that
 * fail. */
#include "testing.h"

#include "int4q/ort.h"
#include "ort/fake_runtime.h"
#include "platform/threads.h"

enum { OUTPUTS = 3, CHANNELS = 2, SIZE = 5, RUNS = 16 };

static uint8_t codes[(OUTPUTS * CHANNELS * 9 + 1) / 2];
static float scales[OUTPUTS] = {1, 0.5f, 2}, biases[OUTPUTS] = {0, 1, -1}, x[CHANNELS * SIZE * SIZE];

static int code(size_t index)
{
    return (int)(index * 5 % 16) - 8;
}

/* A node of three outputs with a kernel of 3 x 3. X has the numbers 0 to 255, which level 4 takes as they
 * are, so that both levels give whole numbers. */
static OrtKernelInfo make_node(void)
{
    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = (uint8_t)((code(2 * i) & 15) | (code(2 * i + 1) & 15) << 4);
    for (size_t i = 0; i < CHANNELS * SIZE * SIZE; i++)
        x[i] = (float)(i * 51 % 256);
    x[7] = 255;
    return (OrtKernelInfo){
        .attributes = {{"weight_shape", ORT_OP_ATTR_INTS, 4, {OUTPUTS, CHANNELS, 3, 3}, 0},
                       {"pads", ORT_OP_ATTR_INTS, 4, {1, 1, 1, 1}, 0},
                       {"alpha", ORT_OP_ATTR_FLOAT, 0, {0}, 0.5f},
                       {"group", ORT_OP_ATTR_INT, 1, {1}, 0},
                       {"accuracy_level", ORT_OP_ATTR_INT, 1, {4}, 0}},
        .inputs = {{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4, {1, CHANNELS, SIZE, SIZE}, NULL},
                   {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4, 4, {OUTPUTS, CHANNELS, 3, 3}, codes},
                   {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 1, {OUTPUTS}, scales},
                   {.type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED},
                   {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 1, {OUTPUTS}, biases}}};
}

static float expected(size_t o, long row, long column)
{
    float sum = 0;
    for (size_t c = 0; c < CHANNELS; c++)
        for (long ky = 0; ky < 3; ky++)
            for (long kx = 0; kx < 3; kx++) {
                long y = row + ky - 1, at = column + kx - 1;
                if (y >= 0 && y < SIZE && at >= 0 && at < SIZE)
                    sum += (float)code((o * CHANNELS + c) * 9 + (size_t)(ky * 3 + kx)) *
                           x[c * SIZE * SIZE + (size_t)(y * SIZE + at)];
            }
    return sum * scales[o] + biases[o];
}

static void assert_computed(const float *y)
{
    for (size_t o = 0; o < OUTPUTS; o++)
        for (size_t i = 0; i < SIZE * SIZE; i++)
            assert_true(y[o * SIZE * SIZE + i] == expected(o, (long)(i / SIZE), (long)(i % SIZE)));
}

static const OrtCustomOp *registered(const OrtApiBase *base)
{
    OrtSessionOptions options = {0};
    assert_null(RegisterCustomOps(&options, base));
    assert_non_null(options.domain);
    assert_int_equal(options.domain->count, 4);
    return options.domain->operators[0];
}

static const OrtApi *api(void)
{
    return fake_runtime.GetApi(19);
}

static OrtStatus *run(const OrtCustomOp *op, void *kernel, const OrtKernelInfo *node, float *y)
{
    struct OrtValue inputs[FAKE_INPUTS];
    memcpy(inputs, node->inputs, sizeof inputs);
    inputs[0].data = x;
    OrtKernelContext context = {inputs, {.type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, .data = y}};
    return op->KernelComputeV2(kernel, &context);
}

static void computes(void **state)
{
    const OrtCustomOp *op = registered(&fake_runtime);
    OrtKernelInfo node = make_node();
    float y[OUTPUTS * SIZE * SIZE];
    void *kernel;
    for (int level = 0; level <= 4; level += 4) {
        node.attributes[4].ints[0] = level;
        assert_null(op->CreateKernelV2(op, api(), &node, &kernel));
        assert_null(run(op, kernel, &node, y));
        assert_computed(y);
        op->KernelDestroy(kernel);
    }
    assert_int_equal(fake_live, 0);
}

static void describes_itself(void **state)
{
    OrtSessionOptions options = {0};
    const ONNXTensorElementDataType types[] = {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4,
                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4,
                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8};
    assert_null(RegisterCustomOps(&options, &fake_runtime));
    for (size_t i = 0; i < 3; i++) {
        const OrtCustomOp *op = options.domain->operators[i];
        assert_string_equal(op->GetName(op), "ConvNBits");
        assert_int_equal(op->GetInputTypeCount(op), 5);
        for (size_t input = 0; input < 5; input++) {
            bool integers = input == 1 || input == 3, optional = input >= 3;
            assert_int_equal(op->GetInputType(op, input),
                             integers ? types[i] : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
            assert_int_equal(op->GetInputCharacteristic(op, input),
                             optional ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED);
            assert_int_equal(op->GetInputMemoryType(op, input), OrtMemTypeDefault);
        }
        assert_int_equal(op->GetOutputTypeCount(op), 1);
        assert_int_equal(op->GetOutputType(op, 0), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
        assert_int_equal(op->GetOutputCharacteristic(op, 0), INPUT_OUTPUT_REQUIRED);
        assert_int_equal(op->version, 19);
        assert_int_equal(op->GetStartVersion(op), 1);
        assert_int_equal(op->GetEndVersion(op), 1);
        assert_null(op->GetExecutionProviderType(op));
    }
}

/* ---- failures */

/* Either a status or what is right; never a leak, and the next one is fine. False: the call does not come. */
static bool fails_at(size_t calls)
{
    const OrtCustomOp *op = registered(&fake_runtime);
    const OrtKernelInfo node = make_node();
    float y[OUTPUTS * SIZE * SIZE];
    void *kernel = NULL;
    fake_calls_left = calls;
    OrtStatus *status = op->CreateKernelV2(op, api(), &node, &kernel);
    if (status)
        assert_null(kernel);
    else if (!(status = run(op, kernel, &node, y)))
        assert_computed(y);
    bool reached = fake_calls_left == SIZE_MAX;
    fake_calls_left = SIZE_MAX;
    if (status)
        api()->ReleaseStatus(status);
    if (kernel)
        op->KernelDestroy(kernel);
    assert_int_equal(fake_live, 0);
    return reached;
}

static void any_call_may_fail(void **state)
{
    size_t calls = 0;
    while (fails_at(calls))
        calls++;
    assert_true(calls > 50);
}

static void registration_may_fail(void **state)
{
    OrtSessionOptions options = {0};
    static OrtApiBase bases[5]; /* that are not known yet */
    for (size_t calls = 0; calls < 5; calls++) {
        bases[calls] = fake_runtime;
        fake_calls_left = calls;
        OrtStatus *status = RegisterCustomOps(&options, &bases[calls]);
        assert_non_null(status);
        api()->ReleaseStatus(status);
        assert_null(options.domain);
    }
    assert_int_equal(fake_live, 0);
}

static void says_which_node_is_wrong(void **state)
{
    const OrtCustomOp *op = registered(&fake_runtime);
    OrtKernelInfo node = make_node();
    void *kernel;
    node.attributes[1].ints[2] = -1;
    OrtStatus *status = op->CreateKernelV2(op, api(), &node, &kernel);
    assert_non_null(status);
    assert_string_equal(api()->GetErrorMessage(status), "ConvNBits 'node': pads is -1, not 0 to 2147483647");
    assert_int_equal(api()->GetErrorCode(status), ORT_INVALID_GRAPH);
    api()->ReleaseStatus(status);
    node.attributes[1] = (OrtOpAttr){"pads", ORT_OP_ATTR_INT, 1, {1}, 0};
    status = op->CreateKernelV2(op, api(), &node, &kernel);
    assert_string_equal(api()->GetErrorMessage(status), "ConvNBits 'node': pads is not a list of integers");
    api()->ReleaseStatus(status);
}

static void weights_have_to_be_constant(void **state)
{
    const OrtCustomOp *op = registered(&fake_runtime);
    OrtKernelInfo node = make_node();
    void *kernel;
    node.inputs[4].data = NULL;
    OrtStatus *status = op->CreateKernelV2(op, api(), &node, &kernel);
    assert_string_equal(api()->GetErrorMessage(status),
                        "ConvNBits 'node': B is not an initializer of the same graph");
    api()->ReleaseStatus(status);
}

/* ---- at the same time */

struct shared {
    const OrtCustomOp *op;
    void *kernel;
    OrtKernelInfo node;
    float y[RUNS][OUTPUTS * SIZE * SIZE];
};

static void run_one(void *context, size_t index)
{
    struct shared *shared = context;
    OrtSessionOptions options = {0};
    if (run(shared->op, shared->kernel, &shared->node, shared->y[index]) ||
        RegisterCustomOps(&options, &fake_runtime) || RegisterCustomOps(&options, &fake_old_runtime))
        abort();
}

static void runs_at_the_same_time(void **state)
{
    static struct shared shared;
    shared.op = registered(&fake_runtime);
    shared.node = make_node();
    assert_null(shared.op->CreateKernelV2(shared.op, api(), &shared.node, &shared.kernel));
    i4q_parallel_for(4, RUNS, run_one, &shared);
    for (size_t i = 0; i < RUNS; i++)
        assert_computed(shared.y[i]);
    shared.op->KernelDestroy(shared.kernel);
    assert_int_equal(fake_live, 0);
}

/* ---- versions */

static void one_registration_a_runtime(void **state)
{
    const OrtCustomOp *op = registered(&fake_runtime), *old = registered(&fake_old_runtime);
    assert_ptr_equal(registered(&fake_runtime), op);
    assert_ptr_equal(registered(&fake_old_runtime), old);
    assert_ptr_not_equal(op, old);
    assert_non_null(op->InferOutputShapeFn);
    assert_null(old->InferOutputShapeFn); /* it would crash */
}

static void too_old_a_runtime(void **state)
{
    OrtSessionOptions options = {0};
    assert_null(RegisterCustomOps(&options, &fake_ancient_runtime));
    assert_null(options.domain);
}

/* ---- shapes */

static OrtShapeInferContext infer(OrtKernelInfo *node, const char *first)
{
    const OrtCustomOp *op = registered(&fake_runtime);
    OrtShapeInferContext context = {.node = node, .names = {first, "", "", ""}};
    assert_null(op->InferOutputShapeFn(op, &context));
    assert_int_equal(fake_live, 0);
    return context;
}

static void infers_shapes(void **state)
{
    OrtKernelInfo node = make_node();
    node.attributes[5] = (OrtOpAttr){"strides", ORT_OP_ATTR_INTS, 2, {1, 2}, 0};
    OrtShapeInferContext found = infer(&node, "");
    assert_int_equal(found.output.rank, 4);
    assert_memory_equal(found.output.dims, ((int64_t[]){1, OUTPUTS, 5, 3}), sizeof found.output.dims);
    node.inputs[0].dims[0] = -1;
    found = infer(&node, "images");
    assert_string_equal(found.output_names[0], "images");
    assert_string_equal(found.output_names[1], "");
    assert_int_equal(infer(&node, "").output.rank, 0);
    node.inputs[0].dims[3] = -1;
    assert_int_equal(infer(&node, "images").output.rank, 0);
}

static void infers_nothing_from_what_is_wrong(void **state)
{
    OrtKernelInfo node = make_node();
    node.attributes[5] = (OrtOpAttr){"strides", ORT_OP_ATTR_INTS, 2, {0, INT64_MIN}, 0};
    assert_int_equal(infer(&node, "").output.rank, 0);
    node.attributes[5].count = 3;
    assert_int_equal(infer(&node, "").output.rank, 0);
    node.attributes[5] = (OrtOpAttr){"dilations", ORT_OP_ATTR_INTS, 2, {INT32_MAX, INT32_MAX}, 0};
    assert_int_equal(infer(&node, "").output.rank, 0);
    node = make_node();
    node.inputs[0].rank = 2;
    assert_int_equal(infer(&node, "").output.rank, 0);
    for (size_t calls = 0; calls < 20; calls++) {
        const OrtCustomOp *op = registered(&fake_runtime);
        node = make_node();
        OrtShapeInferContext context = {.node = &node, .names = {"", "", "", ""}};
        fake_calls_left = calls;
        OrtStatus *status = op->InferOutputShapeFn(op, &context);
        fake_calls_left = SIZE_MAX;
        if (status)
            api()->ReleaseStatus(status);
        assert_int_equal(fake_live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes),
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(any_call_may_fail),
        cmocka_unit_test(registration_may_fail),
        cmocka_unit_test(says_which_node_is_wrong),
        cmocka_unit_test(weights_have_to_be_constant),
        cmocka_unit_test(runs_at_the_same_time),
        cmocka_unit_test(one_registration_a_runtime),
        cmocka_unit_test(too_old_a_runtime),
        cmocka_unit_test(infers_shapes),
        cmocka_unit_test(infers_nothing_from_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

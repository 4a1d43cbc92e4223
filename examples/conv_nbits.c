// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a model with ONNX Runtime's C API, with com.int4q::ConvNBits from a library:
 *
 *     cc conv_nbits.c -o conv_nbits -I /usr/include/onnxruntime -lonnxruntime
 *     ./conv_nbits /usr/lib/libint4q_ort.so model.onnx
 *     ./conv_nbits - model.onnx       the same by the function body that the model holds
 *
 * Its one input is a float tensor, and gets (i % 255) / 255 in element i. Prints the fastest of ten runs, and
 * size and sum of the first output.
 */
#include <onnxruntime_c_api.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { API = 19, MAX_RANK = 8, RUNS = 10 }; /* of ONNX Runtime 1.19 and all later ones */

static const OrtApi *api;

/* Ends the program where a call has failed. */
static void check(OrtStatus *status)
{
    if (!status)
        return;
    fprintf(stderr, "conv_nbits: %s\n", api->GetErrorMessage(status));
    exit(1);
}

static OrtSession *open_session(const OrtEnv *env, const char *library, const char *model)
{
    OrtSessionOptions *options;
    OrtSession *session;
    check(api->CreateSessionOptions(&options));
    check(api->SetIntraOpNumThreads(options, 1));
    if (strcmp(library, "-") != 0)
        check(api->RegisterCustomOpsLibrary_V2(options, library));
    check(api->CreateSession(env, model, options, &session));
    api->ReleaseSessionOptions(options);
    return session;
}

/* The shape of the first input, with 1 for what is open; its number of elements. */
static size_t input_shape(const OrtSession *session, int64_t *dims, size_t *rank)
{
    OrtTypeInfo *type;
    const OrtTensorTypeAndShapeInfo *tensor;
    size_t count = 1;
    check(api->SessionGetInputTypeInfo(session, 0, &type));
    check(api->CastTypeInfoToTensorInfo(type, &tensor));
    check(api->GetDimensionsCount(tensor, rank));
    if (*rank > MAX_RANK)
        exit(1);
    check(api->GetDimensions(tensor, dims, *rank));
    for (size_t i = 0; i < *rank; i++) {
        dims[i] = dims[i] < 0 ? 1 : dims[i];
        count *= (size_t)dims[i];
    }
    api->ReleaseTypeInfo(type);
    return count;
}

static OrtValue *make_input(const OrtSession *session, OrtAllocator *allocator)
{
    int64_t dims[MAX_RANK];
    size_t rank, count = input_shape(session, dims, &rank);
    OrtValue *value;
    float *elements;
    check(api->CreateTensorAsOrtValue(allocator, dims, rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
    check(api->GetTensorMutableData(value, (void **)&elements));
    for (size_t i = 0; i < count; i++)
        elements[i] = (float)(i % 255) / 255;
    return value;
}

static void print_output(OrtValue *value)
{
    OrtTensorTypeAndShapeInfo *info;
    size_t count;
    float *elements;
    double sum = 0;
    check(api->GetTensorTypeAndShape(value, &info));
    check(api->GetTensorShapeElementCount(info, &count));
    check(api->GetTensorMutableData(value, (void **)&elements));
    for (size_t i = 0; i < count; i++)
        sum += elements[i];
    printf("%zu elements, sum %.9g\n", count, sum);
    api->ReleaseTensorTypeAndShapeInfo(info);
}

static double now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The first output, which the caller releases. */
static OrtValue *run(OrtSession *session, OrtAllocator *allocator, const OrtValue *input)
{
    char *input_name, *output_name;
    OrtValue *output = NULL;
    double best = 1e9;
    check(api->SessionGetInputName(session, 0, allocator, &input_name));
    check(api->SessionGetOutputName(session, 0, allocator, &output_name));
    for (int i = 0; i < RUNS; i++) {
        const char *const inputs[] = {input_name}, *const outputs[] = {output_name};
        double start = now(), taken;
        if (output)
            api->ReleaseValue(output);
        output = NULL;
        check(api->Run(session, NULL, inputs, &input, 1, outputs, 1, &output));
        taken = now() - start;
        best = taken < best ? taken : best;
    }
    printf("%.2f ms\n", best * 1e3);
    check(api->AllocatorFree(allocator, input_name));
    check(api->AllocatorFree(allocator, output_name));
    return output;
}

int main(int argc, char **argv)
{
    OrtEnv *env;
    OrtAllocator *allocator;
    if (argc != 3) {
        fprintf(stderr, "usage: conv_nbits LIBRARY MODEL\n");
        return 2;
    }
    api = OrtGetApiBase()->GetApi(API);
    if (!api) {
        fprintf(stderr, "conv_nbits: ONNX Runtime is older than 1.%d\n", API);
        return 1;
    }
    check(api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "conv_nbits", &env));
    check(api->GetAllocatorWithDefaultOptions(&allocator));
    OrtSession *session = open_session(env, argv[1], argv[2]);
    OrtValue *input = make_input(session, allocator), *output = run(session, allocator, input);
    print_output(output);
    api->ReleaseValue(output);
    api->ReleaseValue(input);
    api->ReleaseSession(session);
    api->ReleaseEnv(env);
    return 0;
}
